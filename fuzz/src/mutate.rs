//! Mutations of inputs, all from one seed.

/// SplitMix64: small, fast and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence that `seed` decides.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % (bound as u64).max(1)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[0]
    }
}

/// Numbers at which lengths, offsets and counts go wrong.
const INTERESTING: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX >> 1, u64::MAX];

/// Inputs grow no longer than this.
const INPUT_BYTES_MAX: usize = 4096;

/// Damages `bytes` in one to eight ways; splices take from `other`.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(8) {
        mutate_once(bytes, other, random);
    }
    bytes.truncate(INPUT_BYTES_MAX);
}

fn mutate_once(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    let span = at..(at + 1 + random.below(16)).min(bytes.len());
    match random.below(8) {
        0 => flip(bytes, at, random),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.byte()),
        2 => {
            let inserted = vec![random.byte(); 1 + random.below(8)];
            bytes.splice(at..at, inserted);
        }
        3 => drop(bytes.drain(span)),
        4 => {
            let copied = bytes[span].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copied);
        }
        5 => {
            let from = random.below(other.len());
            let piece = &other[from..(from + random.below(64)).min(other.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        6 => {
            let number = INTERESTING[random.below(INTERESTING.len())].wrapping_sub(random.number() % 2);
            let width = 1 << random.below(4);
            for (byte, new) in bytes.iter_mut().skip(at).zip(number.to_le_bytes()).take(width) {
                *byte = new;
            }
        }
        _ if random.below(8) == 0 => bytes.truncate(at),
        _ => flip(bytes, at, random),
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}
