//! Ranks by Zipf's law: the `k`-th of `n` things is drawn with a probability in proportion to `k` to the power of `-alpha`.
//!
//! By rejection-inversion (W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
//! distributions", ACM TOMACS 6(3), 1996): exact for every exponent above 0, 1 included, in constant time and without tables;
//! the generator that YCSB took over from Gray et al. is an approximation, and for exponents below 1 only. A number is
//! drawn under a continuous curve above the law and inverted, and now and then rejected.

use crate::random::Random;

/// The law for one exponent and one number of things.
#[derive(Debug, Clone, PartialEq)]
pub struct Zipf {
    things: f64,
    alpha: f64,
    /// Areas under the curve up to half a step beyond the first and the last rank.
    area_first: f64,
    area_last: f64,
    /// At most this far below a rank its bar is filled by the curve, so that nothing is rejected.
    sure: f64,
}

impl Zipf {
    /// The law for so many things, at least one, and an exponent above 0.
    #[must_use]
    pub fn new(things: u64, alpha: f64) -> Self {
        assert!(things > 0 && alpha.is_finite() && alpha > 0.0, "Zipf's law for {things} things by {alpha}");
        let mut law = Self { things: things as f64, alpha, area_first: 0.0, area_last: 0.0, sure: 0.0 };
        law.area_first = law.area(1.5) - 1.0;
        law.area_last = law.area(law.things + 0.5);
        law.sure = 2.0 - law.area_inverse(law.area(2.5) - law.height(2.0));
        law
    }

    /// A rank, counted from 0.
    pub fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.area_last + random.unit() * (self.area_first - self.area_last);
            let place = self.area_inverse(area);
            let rank = place.round().clamp(1.0, self.things);
            if rank - place <= self.sure || area >= self.area(rank + 0.5) - self.height(rank) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number from 0 to below the count of things"
                )]
                return (rank - 1.0) as u64;
            }
        }
    }

    /// The curve: `place` to the power of `-alpha`.
    fn height(&self, place: f64) -> f64 {
        (-self.alpha * place.ln()).exp()
    }

    /// An integral of the curve: `(place^(1 - alpha) - 1) / (1 - alpha)`, and the logarithm where alpha is 1.
    fn area(&self, place: f64) -> f64 {
        let log = place.ln();
        exp_m1_ratio((1.0 - self.alpha) * log) * log
    }

    /// Where the integral has this value.
    fn area_inverse(&self, area: f64) -> f64 {
        // Rounding may lead below what the integral can be.
        let scaled = (area * (1.0 - self.alpha)).max(-1.0);
        (ln_1p_ratio(scaled) * area).exp()
    }
}

/// Below this, series are more exact than the quotients.
const SMALL: f64 = 1e-8;

/// `(e^x - 1) / x`
fn exp_m1_ratio(x: f64) -> f64 {
    if x.abs() > SMALL { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// `ln(1 + x) / x`
fn ln_1p_ratio(x: f64) -> f64 {
    if x.abs() > SMALL { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-square of draws against the exact law; ranks that are to be expected less than ten times count as one.
    fn chi_square_per_degree(things: u32, alpha: f64, draws: u32, seed: u64) -> f64 {
        let law = Zipf::new(u64::from(things), alpha);
        let mut random = Random::seeded(seed);
        let mut found = vec![0.0; things as usize];
        for _ in 0..draws {
            found[usize::try_from(law.draw(&mut random)).expect("a rank")] += 1.0;
        }
        let weights: Vec<f64> = (1..=things).map(|rank| f64::from(rank).powf(-alpha)).collect();
        let sum: f64 = weights.iter().sum();
        let (mut chi_square, mut bins) = (0.0, 0.0);
        let (mut expected_rest, mut found_rest) = (0.0, 0.0);
        for (weight, found) in weights.iter().zip(&found) {
            let expected = weight / sum * f64::from(draws);
            if expected >= 10.0 {
                chi_square += (found - expected) * (found - expected) / expected;
                bins += 1.0;
            } else {
                expected_rest += expected;
                found_rest += found;
            }
        }
        if expected_rest >= 10.0 {
            chi_square += (found_rest - expected_rest) * (found_rest - expected_rest) / expected_rest;
            bins += 1.0;
        }
        chi_square / (bins - 1.0)
    }

    /// A quotient of 1 is to be expected; with so many degrees of freedom the standard deviation is 0.15 at most.
    #[test]
    fn frequencies_are_those_of_the_exact_law() {
        for alpha in [0.05, 0.3, 0.43, 0.99, 1.0, 1.0 + 1e-10, 1.01, 1.21, 1.37, 2.0] {
            for (things, seed) in [(100, 1), (1000, 2)] {
                let quotient = chi_square_per_degree(things, alpha, 400_000, seed);
                assert!((0.3..1.7).contains(&quotient), "{quotient} for {things} things by {alpha}");
            }
        }
    }

    #[test]
    fn another_exponent_is_noticed() {
        let law = Zipf::new(100, 1.0);
        assert_ne!(law, Zipf::new(100, 1.02));
        let mut random = Random::seeded(1);
        let first = (0..400_000).filter(|_| law.draw(&mut random) == 0).count();
        // 1 / H(100) of them, within three standard deviations.
        assert!((76_300..77_900).contains(&first), "{first}");
    }

    #[test]
    fn ranks_stay_within_the_things() {
        let mut random = Random::seeded(3);
        for things in [1, 2, 3, 1_000_000_000_000] {
            for alpha in [0.01, 0.99, 1.0, 3.0, 20.0] {
                let law = Zipf::new(things, alpha);
                assert!((0..2000).all(|_| law.draw(&mut random) < things), "{things} by {alpha}");
            }
        }
    }
}
