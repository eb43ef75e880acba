//! A choice among a few things, each by its weight: operations of a mix, lifetimes of entries.

use crate::random::Random;

/// Things and their weights, of which only the proportions count.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted<T> {
    /// Each thing with the share of all those up to it; the last one's is 1.
    shares: Vec<(T, f64)>,
}

impl<T: Copy> Weighted<T> {
    /// This thing always.
    #[must_use]
    pub fn always(thing: T) -> Self {
        Self { shares: vec![(thing, 1.0)] }
    }

    /// Each thing as often as its weight says; an error if there is none, or a weight is not a positive number.
    pub fn new(weights: &[(T, f64)]) -> Result<Self, String> {
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let is_positive = |weight: f64| weight.is_finite() && weight > 0.0;
        if !is_positive(sum) || !weights.iter().all(|(_, weight)| is_positive(*weight)) {
            return Err("each weight has to be a number above 0".to_owned());
        }
        let mut below = 0.0;
        let mut shares: Vec<_> = weights
            .iter()
            .map(|&(thing, weight)| {
                below += weight;
                (thing, below / sum)
            })
            .collect();
        if let Some((_, share)) = shares.last_mut() {
            *share = 1.0;
        }
        Ok(Self { shares })
    }

    /// Reads `thing:weight,thing:weight,…`; a thing without a weight has the weight 1.
    pub fn parse(text: &str, thing: impl Fn(&str) -> Result<T, String>) -> Result<Self, String> {
        let weights: Vec<_> = text
            .split(',')
            .map(|part| {
                let (name, weight) = part.split_once(':').unwrap_or((part, "1"));
                let weight = weight.parse().map_err(|_| format!("{weight:?} is no weight"))?;
                Ok((thing(name)?, weight))
            })
            .collect::<Result<_, String>>()?;
        Self::new(&weights)
    }

    /// One of the things.
    pub fn pick(&self, random: &mut Random) -> T {
        let (last, others) = self.shares.split_last().expect("there is at least one thing");
        if others.is_empty() {
            return last.0;
        }
        let drawn = random.unit();
        others.iter().find(|(_, share)| drawn < *share).unwrap_or(last).0
    }

    /// All the things, with the share of each.
    pub fn iter(&self) -> impl Iterator<Item = (T, f64)> {
        let mut below = 0.0;
        self.shares.iter().map(move |&(thing, up_to)| {
            let share = up_to - below;
            below = up_to;
            (thing, share)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Result<u8, String> {
        text.parse().map_err(|_| "no number".to_owned())
    }

    #[test]
    fn a_list_is_read_with_its_weights() {
        assert_eq!(Weighted::parse("7", number), Ok(Weighted::always(7)));
        assert_eq!(Weighted::parse("1:.5,2:1.5", number), Weighted::new(&[(1, 25.0), (2, 75.0)]));
        for wrong in ["", "1:", "1:0", "1:-1", "1:x", "1:inf", "1:NaN", "x:1", "1,,2"] {
            assert!(Weighted::parse(wrong, number).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        /// Of 20,000 draws the share of each thing is within eight standard deviations of what its weight asks for, and a bit
        /// more where so few are to be expected that they are not distributed normally.
        #[test]
        fn weights_are_kept(weights in prop::collection::vec(0.01_f64..10.0, 1..6), seed: u64) {
            const DRAWS: u32 = 20_000;
            let things: Vec<_> = weights.iter().copied().enumerate().collect();
            let weighted = Weighted::new(&things).expect("positive weights");
            let mut random = Random::seeded(seed);
            let mut found = vec![0_u32; weights.len()];
            for _ in 0..DRAWS {
                found[weighted.pick(&mut random)] += 1;
            }
            let sum: f64 = weights.iter().sum();
            for ((thing, share), weight) in weighted.iter().zip(&weights) {
                prop_assert!((share - weight / sum).abs() < 1e-12);
                let expected = share * f64::from(DRAWS);
                let deviation = (expected * (1.0 - share)).sqrt();
                prop_assert!((f64::from(found[thing]) - expected).abs() <= 8.0 * deviation + 8.0);
            }
        }
    }
}
