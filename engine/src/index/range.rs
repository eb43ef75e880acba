//! Ranges of keys: by prefix, and beyond the last key of the page before.

use super::Key;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Keys that start with `prefix`, beyond `after` if that is given: above it going forward, below it in `reverse`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRange<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) after: Option<&'a str>,
    pub(crate) reverse: bool,
}

impl<'a> KeyRange<'a> {
    /// All keys that start with `prefix`.
    pub(crate) fn prefix(prefix: &'a str) -> KeyRange<'a> {
        KeyRange { prefix, after: None, reverse: false }
    }

    /// What `map` holds of the range, in order from both ends.
    pub(crate) fn of<'m, V>(
        &self,
        map: &'m BTreeMap<Key, V>,
    ) -> impl DoubleEndedIterator<Item = (&'m Key, &'m V)> + use<'m, V> {
        let KeyRange { prefix, after, reverse } = *self;
        let end = prefix_end(prefix);
        let mut lower = Bound::Included(prefix);
        let mut upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut beyond = false;
        match after {
            Some(after) if reverse => {
                beyond = after <= prefix;
                if end.as_deref().is_none_or(|end| after < end) {
                    upper = Bound::Excluded(after);
                }
            }
            Some(after) => {
                beyond = end.as_deref().is_some_and(|end| after >= end);
                if after >= prefix {
                    lower = Bound::Excluded(after);
                }
            }
            None => {}
        }
        // A range that starts behind its end is an error to BTreeMap; here it is merely empty.
        let range = (!beyond).then(|| map.range::<str, _>((lower, upper)));
        range.into_iter().flatten()
    }
}

/// The smallest text above every text that starts with `prefix`, if there is one. UTF-8 sorts by code point.
fn prefix_end(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Surrogates are no characters: the range skips them.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_end("ab").as_deref(), Some("ac"));
        assert_eq!(prefix_end("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(prefix_end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{10ffff}"), None);
        assert_eq!(prefix_end(""), None);
    }

    proptest! {
        #[test]
        fn ranges_agree_with_filtering(keys in proptest::collection::btree_set("[a-c]{1,4}", 0..30),
                                       prefix in "[a-c]{0,3}", after in proptest::option::of("[a-d]{1,4}"), reverse: bool) {
            let map: BTreeMap<Key, ()> = keys.iter().map(|key| (Key::new(key), ())).collect();
            let is_beyond = |key: &str| {
                after.as_deref().is_none_or(|after| if reverse { key < after } else { key > after })
            };
            let expected: Vec<&str> =
                keys.iter().map(String::as_str).filter(|key| key.starts_with(&prefix) && is_beyond(key)).collect();
            let range = KeyRange { prefix: &prefix, after: after.as_deref(), reverse };
            let found: Vec<&str> = range.of(&map).map(|(key, ())| key.as_str()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
