//! Which key is asked for: how often each is, and where the popular ones stand among all.

use crate::random::Random;
use crate::zipf::Zipf;

/// Chances of the keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    /// How many keys there were at first.
    keys: u64,
    /// By rank; without it all are alike.
    zipf: Option<Zipf>,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Popular keys are spread over all, by steps of this size, which has no divisor in common with their count.
    Scattered { step: u64 },
    /// The newer a key, the more popular.
    NewestFirst,
}

impl Popularity {
    /// Keys drawn by Zipf's law of this exponent, or evenly where it is 0. With `latest` the newest key is the most popular
    /// one, and so what was inserted counts; otherwise popular keys are anywhere among the `keys`.
    #[must_use]
    pub fn new(keys: u64, alpha: f64, latest: bool) -> Self {
        let zipf = (alpha > 0.0).then(|| Zipf::new(keys, alpha));
        let order = if latest { Order::NewestFirst } else { Order::Scattered { step: coprime_step(keys) } };
        Self { keys, zipf, order }
    }

    /// The number of a key, where so many were inserted beyond those that were there at first.
    pub fn draw(&self, inserted: u64, random: &mut Random) -> u64 {
        let rank = match &self.zipf {
            None => random.below(self.keys),
            Some(zipf) => zipf.draw(random),
        };
        match self.order {
            Order::NewestFirst => self.keys + inserted - 1 - rank,
            Order::Scattered { step } => scatter(rank, step, self.keys),
        }
    }
}

/// A permutation of the ranks.
fn scatter(rank: u64, step: u64, keys: u64) -> u64 {
    let product = u128::from(rank + 1) * u128::from(step);
    u64::try_from(product % u128::from(keys)).expect("below a u64")
}

/// A step near the golden section of the keys, by which neighbours in rank come far apart.
fn coprime_step(keys: u64) -> u64 {
    let golden = u64::try_from(u128::from(keys) * 618_034 / 1_000_000).expect("below the keys").max(1);
    (golden..).find(|step| greatest_common_divisor(*step, keys) == 1).unwrap_or(1)
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn scattering_takes_no_key_twice() {
        for keys in [1, 2, 3, 7, 10, 1000, 4096, 99_999] {
            let step = coprime_step(keys);
            let taken: HashSet<u64> = (0..keys).map(|rank| scatter(rank, step, keys)).collect();
            assert_eq!(taken.len() as u64, keys);
            assert!(taken.iter().all(|number| *number < keys));
        }
    }

    #[test]
    fn the_newest_key_is_the_most_popular_one() {
        let popularity = Popularity::new(1000, 1.2, true);
        let mut random = Random::seeded(1);
        let drawn: Vec<u64> = (0..1000).map(|_| popularity.draw(50, &mut random)).collect();
        let newest = drawn.iter().filter(|number| **number == 1049).count();
        assert!(newest > 150 && drawn.iter().all(|number| (50..1050).contains(number)), "{newest}");
    }

    #[test]
    fn without_an_exponent_all_keys_are_alike() {
        let popularity = Popularity::new(10, 0.0, false);
        let mut random = Random::seeded(1);
        let mut found = [0_u32; 10];
        for _ in 0..10_000 {
            found[usize::try_from(popularity.draw(0, &mut random)).expect("a key")] += 1;
        }
        assert!(found.iter().all(|count| (850..1150).contains(count)), "{found:?}");
    }
}
