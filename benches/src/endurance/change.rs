//! What a writer does to its keys, and the values that it gives them.

use larder_engine::{Address, Expiry, Tenant};
use serde::{Deserialize, Serialize};

use super::Result;

/// Keys of each writer.
pub const KEYS: usize = 1024;

/// A change of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Counts the writer's changes, over all of its sessions.
    pub number: u64,
    /// Number of the key.
    pub key: usize,
    /// What is done to it.
    pub action: Action,
}

/// What is done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It gets the [`value`] of this change.
    Put(Lifetime),
    /// It goes.
    Delete,
    /// Its value gets another deadline.
    Touch(Lifetime),
}

/// How long a value is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// For ever.
    Endless,
    /// Until this time, in Unix milliseconds.
    Until(u64),
    /// As long as the one before it.
    Same,
}

impl From<Lifetime> for Expiry {
    fn from(lifetime: Lifetime) -> Expiry {
        match lifetime {
            Lifetime::Endless => Expiry::Never,
            Lifetime::Until(deadline_ms) => Expiry::At(deadline_ms),
            Lifetime::Same => Expiry::Keep,
        }
    }
}

/// The namespace of a writer.
#[must_use]
pub fn namespace(writer: usize) -> String {
    format!("writer{writer}")
}

/// Works on the address of a key.
pub fn with_address<R>(writer: usize, key: usize, work: impl FnOnce(Address<'_>) -> R) -> R {
    let (namespace, key) = (namespace(writer), format!("key{key}"));
    work(Address::new(Tenant::DEFAULT, &namespace, &key).expect("short names are valid"))
}

/// The value that a writer gives a key by its change of that number: always the same, and never that of another.
#[must_use]
pub fn value(writer: usize, key: usize, number: u64) -> Vec<u8> {
    let length = if number % 64 == 3 { 20_000 } else { number * 37 % 500 };
    let filling = (0..length).map(|at| b'a' + ((at + number) % 26) as u8);
    format!("{writer} {key} {number} ").into_bytes().into_iter().chain(filling).collect()
}

/// The number of the change that gave the key this value.
///
/// # Errors
/// If none of this writer and key can have.
pub fn number_of(writer: usize, key: usize, found: &[u8]) -> Result<u64> {
    let digits = found.split(|byte| *byte == b' ').nth(2).unwrap_or_default();
    let number = std::str::from_utf8(digits)?.parse()?;
    if found == value(writer, key, number) {
        Ok(number)
    } else {
        Err(format!("not the value of change {number}, but {} bytes of another", found.len()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_names_its_change_and_nothing_else_passes_for_it() {
        for number in [0, 3, 1_000_000] {
            let mut value = value(2, 17, number);
            assert_eq!(number_of(2, 17, &value).expect("its own value"), number);
            assert!(number_of(2, 18, &value).is_err() && number_of(1, 17, &value).is_err());
            value.push(b'x');
            assert!(number_of(2, 17, &value).is_err());
        }
        assert!(number_of(2, 17, b"").is_err() && number_of(2, 17, &[0xff; 40]).is_err());
    }
}
