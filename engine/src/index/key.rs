//! A key as the index holds it.

use compact_str::CompactString;
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// A key in the index. Up to 24 bytes lie in the map's nodes, next to one another, so that a search seldom leaves them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(CompactString);

impl Key {
    pub(crate) fn new(key: &str) -> Key {
        Key(CompactString::new(key))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes that it takes besides its place in a node.
    pub(super) fn heap_bytes(&self) -> usize {
        if self.0.is_heap_allocated() { self.0.capacity() } else { 0 }
    }
}

impl Deref for Key {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
