//! What the protocol measures a request against, in one place so that an operator can change it.

/// Largest value of [`Limits::depth`]: the scanner keeps one bit for each open container in a `u128`.
pub const DEPTH_MAX: usize = 128;

/// The configurable limits of requests. Crossing one is a typed error that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a value after compaction; default 1 MiB.
    pub value_bytes: usize,
    /// Bytes of the JSON document of a `TXN`, as sent; default 8 MiB.
    pub transaction_bytes: usize,
    /// Levels of nesting in a value; default and ceiling [`DEPTH_MAX`].
    pub depth: usize,
    /// Bytes of a key; default 512.
    pub key_bytes: usize,
    /// Bytes of a namespace; default 512.
    pub namespace_bytes: usize,
    /// Characters (not bytes) of a description; default 1,000.
    pub description_chars: usize,
    /// Milliseconds from now to the latest expiry that may be asked for; default 36,500 days.
    pub max_ttl_ms: u64,
}

impl Limits {
    /// The limits of the data model.
    pub const DEFAULT: Self = Self {
        value_bytes: 1024 * 1024,
        transaction_bytes: 8 * 1024 * 1024,
        depth: DEPTH_MAX,
        key_bytes: 512,
        namespace_bytes: 512,
        description_chars: 1_000,
        max_ttl_ms: 36_500 * 24 * 60 * 60 * 1_000,
    };

    /// What lines are measured against: a value or a transaction, and 16 KiB for everything around it.
    #[must_use]
    pub const fn lines(&self) -> LineLimits {
        const AROUND_BYTES: usize = 16 * 1024;
        LineLimits {
            line_bytes: self.value_bytes.saturating_add(AROUND_BYTES),
            transaction_bytes: self.transaction_bytes.saturating_add(AROUND_BYTES),
        }
    }
}

/// How many bytes a line may have before its LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineLimits {
    /// Any line.
    pub line_bytes: usize,
    /// The line of a `TXN`, if this is more.
    pub transaction_bytes: usize,
}

impl LineLimits {
    /// The same for every line, whatever it says.
    #[must_use]
    pub const fn all(line_bytes: usize) -> Self {
        Self { line_bytes, transaction_bytes: line_bytes }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
