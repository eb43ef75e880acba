//! A small seeded generator (SplitMix64): the same seed draws the same load, at a nanosecond per number.
//! Not for secrets, and not for statistics finer than a load needs.

/// A stream of pseudo-random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is above zero. The bias of the modulo is at most `bound` / 2⁶⁴.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// An index into `length` things, of which there is at least one.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// A number from 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        const STEPS: u64 = 1 << 53;
        (self.draw() % STEPS) as f64 / STEPS as f64
    }

    /// True with this probability, from 0.0 (never) to 1.0 (always).
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_stream() {
        let (mut a, mut b) = (Random::seeded(7), Random::seeded(7));
        assert!((0..100).all(|_| a.draw() == b.draw()));
        assert_ne!(Random::seeded(7).draw(), Random::seeded(8).draw());
    }

    #[test]
    fn the_ends_of_chance_are_certain() {
        let mut random = Random::seeded(1);
        assert!((0..1000).all(|_| !random.chance(0.0)));
        assert!((0..1000).all(|_| random.chance(1.0)));
    }
}
