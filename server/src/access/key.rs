//! Access keys: what a client shows, and what is kept of it.
//!
//! A token is `lk_<id>_<secret>`: 64 random bits that name the key, and 256 that prove it. Of the secret its SHA-256 is
//! kept and nothing else: it has all the entropy there is, so a slow hash or a salt would gain nothing. A token is
//! never logged, and shows nothing of itself when formatted.

use std::fmt;
use std::io;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::scope::{Namespaces, Scope};

const PREFIX: &str = "lk_";
const SECRET_BYTES: usize = 32;

/// The part of a key that is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(u64);

impl KeyId {
    /// The id that is written so.
    pub(crate) fn parse(text: &str) -> Option<KeyId> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(KeyId(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What a client shows: an id, and the secret that goes with it.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) id: KeyId,
    secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Token {
    /// A new one, from the system's random numbers.
    pub(crate) fn random() -> io::Result<Token> {
        let (mut id, mut secret) = ([0; 8], [0; SECRET_BYTES]);
        fill(&mut id)?;
        fill(&mut secret)?;
        Ok(Token { id: KeyId(u64::from_be_bytes(id)), secret })
    }

    /// The token that is written so.
    pub(crate) fn parse(text: &str) -> Option<Token> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let secret = BASE64URL_NOPAD.decode(secret.as_bytes()).ok()?.try_into().ok()?;
        Some(Token { id: KeyId::parse(id)?, secret })
    }

    /// As it is shown, once.
    pub(crate) fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, BASE64URL_NOPAD.encode(&self.secret))
    }

    pub(crate) fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.secret).into())
    }
}

fn fill(buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        filled += getrandom(&mut buffer[filled..], GetRandomFlags::empty())?;
    }
    Ok(())
}

/// SHA-256 of a secret.
#[derive(Clone)]
pub(crate) struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of no secret that anybody will find.
    pub(crate) const NONE: SecretDigest = SecretDigest([0; 32]);

    /// Whether they are the same, in a time that does not depend on it.
    pub(crate) fn matches(&self, other: &SecretDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretDigest(…)")
    }
}

impl Serialize for SecretDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for SecretDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretDigest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        bytes.try_into().map(SecretDigest).map_err(|_| D::Error::custom("a digest has 32 bytes"))
    }
}

/// What is kept of a key, under its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) sha256: SecretDigest,
    /// The tenant of its organization, whose name may be used again by another one.
    pub(crate) tenant: u32,
    pub(crate) scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespaces: Option<Namespaces>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<u64>,
}

impl Key {
    pub(crate) fn is_live(&self, now_ms: u64) -> bool {
        self.expires_at.is_none_or(|expires_at| now_ms < expires_at)
    }

    /// Whether its holder can always do what an operator does.
    pub(crate) fn is_lasting_operator(&self) -> bool {
        self.scope == Scope::Admin && self.expires_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_shown() {
        let token = Token::random().unwrap();
        let shown = token.reveal();
        assert_eq!(shown.len(), 3 + 16 + 1 + 43);
        assert!(larder_protocol::is_bare(&shown));
        let read = Token::parse(&shown).unwrap();
        assert_eq!(read.id, token.id);
        assert!(read.digest().matches(&token.digest()));
        assert!(!read.digest().matches(&Token::random().unwrap().digest()));
        let secret = &shown[20..];
        assert!(!format!("{token:?} {:?}", token.digest()).contains(secret));
    }

    #[test]
    fn what_is_no_token_is_told_apart() {
        let shown = Token::random().unwrap().reveal();
        let cut = &shown[..shown.len() - 1];
        let upper = shown.replacen("lk_", "LK_", 1);
        for refused in
            ["", "lk_", "lk__", "lk_0_", cut, &upper, &format!("{shown}="), &format!("{shown}A"), "é"]
        {
            assert!(Token::parse(refused).is_none(), "{refused}");
        }
        assert_eq!(KeyId::parse("00000000000000ff").unwrap().to_string(), "00000000000000ff");
        assert!(KeyId::parse("00000000000000FF").is_none() && KeyId::parse("ff").is_none());
    }

    #[test]
    fn a_record_holds_the_digest_and_not_the_secret() {
        let token = Token::random().unwrap();
        let key = Key {
            sha256: token.digest(),
            tenant: 3,
            scope: Scope::ReadOnly,
            namespaces: None,
            name: None,
            created_at: 5,
            expires_at: Some(9),
        };
        let record = serde_json::to_string(&key).unwrap();
        assert!(!record.contains(&token.reveal()[20..]));
        let read: Key = serde_json::from_str(&record).unwrap();
        assert!(read.sha256.matches(&token.digest()));
        assert!(read.is_live(8) && !read.is_live(9));
        assert!(serde_json::from_str::<Key>(&record.replace("\"sha256\":\"", "\"sha256\":\"0")).is_err());
    }
}
