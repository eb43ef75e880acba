//! What is written and what is read: the values of the engine's verbs.

/// A value to be set, with all that goes with it.
#[derive(Debug, Clone, Copy)]
pub struct Put<'a> {
    /// The value; the engine does not look into it.
    pub value: &'a [u8],
    /// The value's type, of the caller's own numbering.
    pub tag: u8,
    /// A note, kept with the entry.
    pub description: Option<&'a str>,
    /// When the entry expires.
    pub expiry: Expiry,
    /// What must hold for the write to happen.
    pub condition: Condition,
}

impl<'a> Put<'a> {
    /// An unconditional put of `value` with tag 0, without description and without expiry.
    pub fn new(value: &'a [u8]) -> Put<'a> {
        Put { value, tag: 0, description: None, expiry: Expiry::Never, condition: Condition::Always }
    }

    /// Sets the type tag.
    pub fn tag(self, tag: u8) -> Put<'a> {
        Put { tag, ..self }
    }

    /// Sets the description.
    pub fn description(self, description: &'a str) -> Put<'a> {
        Put { description: Some(description), ..self }
    }

    /// Makes the entry expire at `unix_ms`, milliseconds since the Unix epoch.
    pub fn expires_at(self, unix_ms: u64) -> Put<'a> {
        Put { expiry: Expiry::At(unix_ms), ..self }
    }

    /// Keeps the expiry that the entry has, if it is there and has one.
    pub fn keep_expiry(self) -> Put<'a> {
        Put { expiry: Expiry::Keep, ..self }
    }

    /// Sets the condition.
    pub fn condition(self, condition: Condition) -> Put<'a> {
        Put { condition, ..self }
    }
}

/// What a tenant may hold, see [`Writer::set_quota`](crate::Writer::set_quota).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Most live entries, in all namespaces together; `None` for no limit.
    pub entries: Option<u64>,
    /// Most bytes of a value, where that is less than [`Limits::value_bytes`](crate::Limits::value_bytes); `None` for
    /// no limit of its own.
    pub value_bytes: Option<usize>,
}

/// When an entry expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// At this time, in milliseconds since the Unix epoch.
    At(u64),
    /// As it was before; never for a new entry.
    Keep,
}

/// What must hold for a write to happen, decided atomically with it. An expired entry counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// There is no such entry.
    Absent,
    /// There is such an entry.
    Present,
    /// There is such an entry, at exactly this version.
    Version(u64),
}

/// What a write was answered with, or why its condition did not hold.
pub type Decision<T> = Result<T, Refusal>;

/// Why a condition did not hold. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The entry is there, though it should not be.
    Exists {
        /// Its version.
        version: u64,
    },
    /// The entry has another version.
    Version {
        /// The version it has.
        version: u64,
    },
    /// The entry is not there.
    Absent,
}

impl Condition {
    /// Decides the condition for an entry of version `current`, or for an absent one.
    pub(crate) fn check(self, current: Option<u64>) -> Decision<()> {
        match (self, current) {
            (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => Ok(()),
            (Condition::Absent, Some(version)) => Err(Refusal::Exists { version }),
            (Condition::Present | Condition::Version(_), None) => Err(Refusal::Absent),
            (Condition::Version(wanted), Some(version)) if wanted == version => Ok(()),
            (Condition::Version(_), Some(version)) => Err(Refusal::Version { version }),
        }
    }
}

/// Version and expiry of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The version: unique within the store, and growing with every change.
    pub version: u64,
    /// When the entry expires, in milliseconds since the Unix epoch.
    pub expires_at: Option<u64>,
}

/// An entry with all its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version of the last write.
    pub version: u64,
    /// When the entry expires, in milliseconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// When the entry was created, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// When the entry was last written, in milliseconds since the Unix epoch.
    pub updated_at: u64,
    /// Version of the write that created the entry: the same for its whole life, another one after delete and
    /// re-create.
    pub creation: u64,
    /// The value's type, of the caller's own numbering.
    pub tag: u8,
    /// The note that was kept with it.
    pub description: Option<String>,
    /// The value.
    pub value: Vec<u8>,
}
