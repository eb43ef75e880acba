//! Keys in a body: never more of them than a command may name, however many there are, and each as it stands in the body where
//! it has no escapes. A list of what is next to nothing would otherwise take many times the memory of its text.

use std::borrow::Cow;
use std::fmt;

use larder_protocol::KEYS_MAX;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// See the module.
#[derive(Debug)]
pub(crate) struct Keys<'b>(pub(crate) Vec<Cow<'b, str>>);

#[derive(Debug, Deserialize)]
struct Key<'b>(#[serde(borrow)] Cow<'b, str>);

impl<'de: 'b, 'b> Deserialize<'de> for Keys<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;

        impl<'de> Visitor<'de> for Items {
            type Value = Vec<Cow<'de, str>>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut keys = Vec::new();
                while let Some(Key(key)) = items.next_element()? {
                    if keys.len() == KEYS_MAX {
                        return Err(A::Error::custom(format_args!("name at most {KEYS_MAX} keys")));
                    }
                    keys.push(key);
                }
                Ok(keys)
            }
        }

        deserializer.deserialize_seq(Items).map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Cow<'_, str>>, serde_json::Error> {
        serde_json::from_str(body).map(|Keys(keys)| keys)
    }

    #[test]
    fn keys_stay_in_the_body() {
        let keys = read(r#"["a", "b\n", ""]"#).unwrap();
        assert_eq!(keys, ["a", "b\n", ""]);
        let borrowed = keys.iter().map(|key| matches!(key, Cow::Borrowed(_)));
        assert_eq!(borrowed.collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn they_are_not_too_many() {
        let body = |count| format!("[{}]", vec!["\"\""; count].join(","));
        assert_eq!(read(&body(KEYS_MAX)).unwrap().len(), KEYS_MAX);
        assert!(read(&body(KEYS_MAX + 1)).unwrap_err().is_data());
        for other in ["{}", "null", "[1]", "[null]", "\"a\""] {
            assert!(read(other).unwrap_err().is_data(), "{other}");
        }
    }
}
