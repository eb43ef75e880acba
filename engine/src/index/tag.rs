//! Tags: short stand-ins for addresses.

use crate::address::{Address, Tenant};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{BuildHasher, Hasher, RandomState};

/// Stands for an address: 96 bits of its hash under a secret key of this process.
///
/// Equal tags are taken for equal addresses. Not knowing the key, nobody can make two addresses collide; and by chance,
/// at ten million entries and a million look-ups of other keys a second, it happens once in two hundred million years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Spreads within a table.
    pub(super) hash: u64,
    rest: u32,
}

/// How many tables tags are spread over: as many as there are values of a byte.
pub(super) const TABLES: usize = 1 << u8::BITS;

impl Tag {
    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
        bytes[8..].copy_from_slice(&self.rest.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 12]) -> Tag {
        let (hash, rest) = bytes.split_at(8);
        Tag {
            hash: hash.try_into().map_or(0, u64::from_le_bytes),
            rest: rest.try_into().map_or(0, u32::from_le_bytes),
        }
    }

    pub(crate) fn hash(self) -> u64 {
        self.hash
    }

    /// Which table it belongs to.
    pub(super) fn table(self) -> usize {
        usize::from(self.rest.to_le_bytes()[0])
    }
}

/// Makes tags. A copy makes the same ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tagger(u64, u64);

impl Tagger {
    /// With a key of its own.
    pub(crate) fn new() -> Tagger {
        let random = || RandomState::new().build_hasher().finish();
        Tagger(random(), random())
    }

    pub(crate) fn tag(self, at: Address<'_>) -> Tag {
        self.tag_of(at.tenant(), at.namespace().as_bytes(), at.key().as_bytes())
    }

    /// The tag of an address in parts.
    pub(crate) fn tag_of(self, tenant: Tenant, namespace: &[u8], key: &[u8]) -> Tag {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        // Namespaces and keys are far shorter than 4 GiB: tenant and length in one word.
        hasher.write_u64(u64::from(tenant.0) << 32 | namespace.len() as u64);
        hasher.write(namespace);
        hasher.write(key);
        let hash = hasher.finish128();
        let [a, b, c, d, ..] = hash.h2.to_le_bytes();
        Tag { hash: hash.h1, rest: u32::from_le_bytes([a, b, c, d]) }
    }
}
