//! Keys of one width, so that a request costs the same whichever key it names: `user:` and 19 digits.

/// The length of every key.
pub const KEY_BYTES: usize = 24;

/// The most keys that 19 digits can number.
pub const KEYS_MAX: u64 = 10_u64.pow(19);

/// Key number `id`, which is below [`KEYS_MAX`].
#[must_use]
pub fn key(id: u64) -> [u8; KEY_BYTES] {
    debug_assert!(id < KEYS_MAX, "key number {id}");
    let mut key = *b"user:0000000000000000000";
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(id).as_bytes();
    key[KEY_BYTES - digits.len()..].copy_from_slice(digits);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_padded_to_one_width() {
        assert_eq!(&key(0), b"user:0000000000000000000");
        assert_eq!(&key(4711), b"user:0000000000000004711");
        assert_eq!(&key(KEYS_MAX - 1), b"user:9999999999999999999");
    }
}
