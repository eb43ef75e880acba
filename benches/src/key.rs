//! Keys of one width, so that a request costs the same whichever key it names: `user:` and 19 digits.

/// The length of every key.
pub const KEY_BYTES: usize = 24;

/// The most keys that 19 digits can number.
pub const KEYS_MAX: u64 = 10_u64.pow(19);

const PREFIX: &[u8] = b"user:";

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

/// The shortest key that a load can have: numbers of eleven digits.
pub const KEY_BYTES_MIN: usize = 16;

/// The longest: what memcached takes.
pub const KEY_BYTES_MAX: usize = 250;

/// The keys that a load can begin with, so that there are as many again to be inserted at every width.
pub const LOADED_KEYS_MAX: u64 = 10_u64.pow(10);

/// Makes `out` key number `number` of this width, from [`KEY_BYTES_MIN`] to [`KEY_BYTES_MAX`]; what has more digits than
/// fit begins again.
pub fn write_key(number: u64, key_bytes: usize, out: &mut Vec<u8>) {
    debug_assert!((KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key_bytes), "a key of {key_bytes} bytes");
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number).as_bytes();
    out.clear();
    out.extend_from_slice(PREFIX);
    out.resize(key_bytes, b'0');
    let room = &mut out[PREFIX.len()..];
    let count = digits.len().min(room.len());
    let start = room.len() - count;
    room[start..].copy_from_slice(&digits[digits.len() - count..]);
}

/// Reads a size of keys from the command line.
pub fn parse_key_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a number from {KEY_BYTES_MIN} to {KEY_BYTES_MAX}")),
    }
}

/// The number of a key, or `None` if it is not one of these.
#[must_use]
pub fn id(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(PREFIX).filter(|_| key.len() == KEY_BYTES)?;
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

    #[test]
    fn keys_have_the_width_asked_for() {
        let mut out = Vec::new();
        for (number, key_bytes, expected) in [
            (4711, 16, "user:00000004711"),
            (LOADED_KEYS_MAX * 2 - 1, 16, "user:19999999999"),
            (123_456_789_012, 16, "user:23456789012"),
            (4711, 20, "user:000000000004711"),
            (u64::MAX, 30, "user:0000018446744073709551615"),
        ] {
            write_key(number, key_bytes, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        write_key(4711, KEY_BYTES, &mut out);
        assert_eq!(out, key(4711));
    }
}
