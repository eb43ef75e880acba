//! JSON values of an exact size: an object as an application would store it, its last text filling up the rest.
//!
//! Values are made once and drawn from a pool, so that a SET costs the generator one copy. The pool is small enough
//! to stay in its cache and varied enough that a server gains nothing from seeing the same bytes again.

use crate::random::Random;

/// The smallest value: an object with an empty filling.
pub const VALUE_BYTES_MIN: usize = r#"{"note":""}"#.len();

/// The largest value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

const POOL_BYTES: usize = 64 << 10;

/// Values of one size.
#[derive(Debug)]
pub struct Values {
    texts: Vec<String>,
    bytes: usize,
}

impl Values {
    /// Values of exactly `bytes` each, which is between [`VALUE_BYTES_MIN`] and [`VALUE_BYTES_MAX`].
    #[must_use]
    pub fn generate(random: &mut Random, bytes: usize) -> Self {
        let count = (POOL_BYTES / bytes).max(1);
        Self { texts: (0..count).map(|_| object(random, bytes)).collect(), bytes }
    }

    /// The size of each value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One of the values.
    #[must_use]
    pub fn pick(&self, random: &mut Random) -> &str {
        &self.texts[random.index(self.texts.len())]
    }
}

/// Reads a size of values from the command line.
pub fn parse_value_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a number from {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX}")),
    }
}

/// A JSON object of exactly `bytes`: as many of the usual fields as fit, and a note that fills up.
fn object(random: &mut Random, bytes: usize) -> String {
    assert!((VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&bytes), "a value of {bytes} bytes");
    let fields = [
        format!(r#""id":"u_{}","#, random.below(1_000_000_000)),
        format!(r#""name":"{} {}","#, word(random), word(random)),
        format!(r#""email":"{}@{}.example","#, word(random), word(random)),
        format!(r#""plan":"{}","#, if random.chance(0.2) { "team" } else { "free" }),
        format!(r#""active":{},"#, random.chance(0.9)),
        format!(r#""logins":{},"#, random.below(10_000)),
        format!(r#""seen":{},"#, 1_700_000_000_000 + random.below(100_000_000_000)),
    ];
    let mut text = String::with_capacity(bytes);
    text.push('{');
    for field in fields {
        if text.len() - 1 + field.len() + VALUE_BYTES_MIN > bytes {
            break;
        }
        text.push_str(&field);
    }
    text.push_str(r#""note":""#);
    let end = bytes - r#""}"#.len();
    while text.len() < end {
        text.push_str(word(random));
        text.push(' ');
    }
    text.truncate(end);
    text.push_str(r#""}"#);
    text
}

fn word(random: &mut Random) -> &'static str {
    const WORDS: [&str; 16] = [
        "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "harbour", "iris", "juniper", "kelp",
        "linden", "maple", "north", "olive", "pantry",
    ];
    WORDS[random.index(WORDS.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_exact_and_json() {
        let mut random = Random::seeded(3);
        for bytes in (VALUE_BYTES_MIN..600).chain([4096, 65_536]) {
            let text = object(&mut random, bytes);
            assert_eq!(text.len(), bytes);
            let value: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
            assert!(value.is_object() && !text.contains(['\n', '\r']), "{text}");
        }
    }

    #[test]
    fn the_usual_size_has_the_usual_fields() {
        let mut random = Random::seeded(3);
        let values = Values::generate(&mut random, 190);
        let value: serde_json::Value = serde_json::from_str(values.pick(&mut random)).expect("valid JSON");
        assert!(value["email"].is_string() && value["seen"].is_u64() && value["note"].is_string());
        assert_ne!(values.texts[0], values.texts[1]);
    }
}
