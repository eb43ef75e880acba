//! Error codes, and the error of a request that cannot be taken.
//!
//! Codes are stable and for programs; texts are for people and may change from one release to the next.

use std::fmt;

macro_rules! codes {
    ($($variant:ident $name:literal $closes:literal $doc:literal)*) => {
        /// The code of an `ERR` reply.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $doc] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the server closes the connection after this reply.
            #[must_use]
            pub const fn closes_connection(self) -> bool {
                match self { $(Self::$variant => $closes,)* }
            }

            /// The code of that name; `None` for one that a newer server may know.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    BadCmd      "BADCMD"      false "No such command."
    BadArg      "BADARG"      false "An argument is missing, superfluous or malformed."
    BadOpt      "BADOPT"      false "An option is unknown, repeated, or excludes another."
    BadKey      "BADKEY"      false "A key breaks the rules for keys."
    BadNs       "BADNS"       false "A namespace breaks the rules for namespaces."
    BadJson     "BADJSON"     false "A value is not JSON, or nested too deeply."
    BadTtl      "BADTTL"      false "An expiry is malformed, past, or too far off."
    BadCursor   "BADCURSOR"   false "A cursor was not made by this store."
    Encoding    "ENCODING"    false "The line is not UTF-8."
    Type        "TYPE"        false "A value does not fit its type."
    Range       "RANGE"       false "A number leaves its range."
    TooBig      "TOOBIG"      false "A value, a description or a transaction is over its limit."
    TooLong     "TOOLONG"     false "The line is over its limit."
    NoAuth      "NOAUTH"      false "The connection must authenticate first."
    Denied      "DENIED"      false "The key does not allow this."
    Quota       "QUOTA"       false "The organization's quota is used up."
    Rate        "RATE"        false "Too many requests for now."
    ReadOnly    "READONLY"    false "The store takes no writes."
    NoSpace     "NOSPACE"     false "The disk is full."
    Compacted   "COMPACTED"   false "The log no longer holds the version asked for."
    Damaged     "DAMAGED"     false "Stored bytes fail their checksum."
    InDoubt     "INDOUBT"     false "The write may or may not have happened."
    Failed      "FAILED"      false "The store has stopped acknowledging writes."
    Internal    "INTERNAL"    false "A fault of the server's own."
    AuthTimeout "AUTHTIMEOUT" true  "Authentication did not come in time."
    TooManyConn "TOOMANYCONN" true  "All connections are taken."
    Slow        "SLOW"        true  "A watcher could not keep up."
    Idle        "IDLE"        true  "Nothing was sent for too long."
    Http        "HTTP"        true  "The client speaks HTTP."
    Incomplete  "INCOMPLETE"  true  "The input ended within a line."
    Shutdown    "SHUTDOWN"    true  "The server is going down."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a line is not a request that can be carried out: a code for programs, a text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {text}")]
pub struct ParseError {
    /// The code of the reply.
    pub code: Code,
    /// What is wrong, where, and what to do about it.
    pub text: String,
}

impl ParseError {
    /// Kept out of line: errors must not weigh on the code around them.
    #[cold]
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Foreign text as an error message may show it: escaped, and cut after 40 characters.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut shown: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_codes() {
        for &code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(code));
        }
        assert_eq!(Code::from_name("badcmd"), None);
    }

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        assert_eq!(shown("a\n\u{1b}\"é"), "a\\n\\u{1b}\\\"é");
        assert_eq!(shown(&"x".repeat(40)), "x".repeat(40));
        assert_eq!(shown(&"x".repeat(41)), format!("{}…", "x".repeat(40)));
    }
}
