//! The simulated disk's source of chance: SplitMix64, small, fast and the same everywhere.

/// A pseudo-random sequence that its seed decides.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`; 0 if there is none. The bias of a plain remainder is of no matter here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// A position in a slice of `length` items.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A sequence of its own, split off this one.
    pub(super) fn fork(&mut self) -> Random {
        Random(self.next())
    }

    /// A chance for many decisions of one kind. Coins alone would never leave nearly all or nearly none of a
    /// thousand sectors; an uneven chance, drawn once, does.
    pub(super) fn chance(&mut self) -> Chance {
        Chance { quarters: self.below(5) }
    }
}

/// How likely each of a series of things is to survive: from never, by quarters, to always.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    quarters: u64,
}

impl Chance {
    pub(super) fn draw(self, random: &mut Random) -> bool {
        random.below(4) < self.quarters
    }
}

/// Spreads every bit of `value` over the whole result.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
