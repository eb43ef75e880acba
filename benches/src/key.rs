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

/// The number of a key, or `None` if it is not one of these.
#[must_use]
pub fn id(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(b"user:").filter(|_| key.len() == KEY_BYTES)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_number() {
        for number in [0, 4711, KEYS_MAX - 1] {
            assert_eq!(id(&key(number)), Some(number));
        }
        for other in
            ["", "user:", "user:+000000000000000001", "user:00000000000000000001", "users:000000000000000001"]
        {
            assert_eq!(id(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn keys_are_padded_to_one_width() {
        assert_eq!(&key(0), b"user:0000000000000000000");
        assert_eq!(&key(4711), b"user:0000000000000004711");
        assert_eq!(&key(KEYS_MAX - 1), b"user:9999999999999999999");
    }
}
