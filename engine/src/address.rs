//! Where an entry lives: tenant, namespace, key. Isolation between tenants is decided here, at the bottom.

use thiserror::Error;

/// Longest namespace, in bytes of UTF-8.
pub const NAMESPACE_BYTES_MAX: usize = 512;
/// Longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 512;

/// A tenant's number. Whoever hands out numbers must never hand one out twice; embedders who need no tenants use
/// [`Tenant::DEFAULT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(pub u32);

impl Tenant {
    /// The tenant of those who need only one.
    pub const DEFAULT: Tenant = Tenant(0);
}

/// The full name of an entry, checked: unique within a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address<'a> {
    tenant: Tenant,
    namespace: &'a str,
    key: &'a str,
}

impl<'a> Address<'a> {
    /// Checks the parts: namespace and key are 1 to 512 bytes of UTF-8 each, without control characters.
    pub fn new(tenant: Tenant, namespace: &'a str, key: &'a str) -> Result<Address<'a>, AddressError> {
        check_namespace(namespace)?;
        if key.is_empty() {
            return Err(AddressError::EmptyKey);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(AddressError::KeyTooLong { length: key.len() });
        }
        if let Some(at) = control_character(key) {
            return Err(AddressError::ControlInKey { at });
        }
        Ok(Address { tenant, namespace, key })
    }

    /// The tenant.
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// The namespace.
    pub fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// The key.
    pub fn key(&self) -> &'a str {
        self.key
    }
}

/// Checks a namespace by the rules of [`Address::new`].
pub fn check_namespace(namespace: &str) -> Result<(), AddressError> {
    if namespace.is_empty() {
        return Err(AddressError::EmptyNamespace);
    }
    if namespace.len() > NAMESPACE_BYTES_MAX {
        return Err(AddressError::NamespaceTooLong { length: namespace.len() });
    }
    match control_character(namespace) {
        Some(at) => Err(AddressError::ControlInNamespace { at }),
        None => Ok(()),
    }
}

/// Byte position of the first control character (C0, DEL or C1).
fn control_character(text: &str) -> Option<usize> {
    let plain = |byte: &u8| (0x20..0x7f).contains(byte);
    if text.as_bytes().iter().all(plain) {
        return None;
    }
    text.char_indices().find(|(_, character)| character.is_control()).map(|(at, _)| at)
}

/// Why a namespace or key is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// The namespace is empty.
    #[error("the namespace is empty; it takes 1 to {NAMESPACE_BYTES_MAX} bytes")]
    EmptyNamespace,
    /// The namespace is too long.
    #[error("the namespace has {length} bytes; at most {NAMESPACE_BYTES_MAX} are allowed")]
    NamespaceTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The namespace holds a control character.
    #[error("the namespace holds a control character at byte {at}")]
    ControlInNamespace {
        /// Byte position of the character.
        at: usize,
    },
    /// The key is empty.
    #[error("the key is empty; it takes 1 to {KEY_BYTES_MAX} bytes")]
    EmptyKey,
    /// The key is too long.
    #[error("the key has {length} bytes; at most {KEY_BYTES_MAX} are allowed")]
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The key holds a control character.
    #[error("the key holds a control character at byte {at}")]
    ControlInKey {
        /// Byte position of the character.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_length_and_characters() {
        let long = "k".repeat(KEY_BYTES_MAX);
        assert!(Address::new(Tenant::DEFAULT, "n", &long).is_ok());
        let longer = "k".repeat(KEY_BYTES_MAX + 1);
        assert_eq!(
            Address::new(Tenant::DEFAULT, "n", &longer),
            Err(AddressError::KeyTooLong { length: KEY_BYTES_MAX + 1 })
        );
        assert_eq!(
            Address::new(Tenant::DEFAULT, &longer, "k"),
            Err(AddressError::NamespaceTooLong { length: 513 })
        );
        assert_eq!(Address::new(Tenant::DEFAULT, "", "k"), Err(AddressError::EmptyNamespace));
        assert_eq!(Address::new(Tenant::DEFAULT, "n", ""), Err(AddressError::EmptyKey));
        for (key, at) in [("a\nb", 1), ("\u{7f}", 0), ("ab\u{85}", 2), ("é\0", 2)] {
            assert_eq!(
                Address::new(Tenant::DEFAULT, "n", key),
                Err(AddressError::ControlInKey { at }),
                "{key:?}"
            );
            assert_eq!(Address::new(Tenant::DEFAULT, key, "k"), Err(AddressError::ControlInNamespace { at }));
        }
        assert!(Address::new(Tenant::DEFAULT, "a b=\"\\", "Schlüssel/π 💾").is_ok());
    }
}
