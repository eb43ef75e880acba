//! The parser of reply lines, for clients. It borrows from the line and copies nothing but tokens with escapes.

use std::borrow::Cow;

use crate::token;

/// One reply line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Done; what the fields are, the command says.
    Ok(Fields<'a>),
    /// A value.
    Val {
        /// The entry's version.
        version: u64,
        /// Its expiry in Unix milliseconds.
        expires_ms: Option<u64>,
        /// The value.
        json: &'a str,
    },
    /// No such live entry.
    Nil,
    /// A condition did not hold.
    No(No),
    /// One item of a listing; what the fields are, the command says.
    Item(Fields<'a>),
    /// The end of a listing.
    End {
        /// How many items came.
        count: u64,
        /// Where to go on, while more follows.
        next: Option<&'a str>,
    },
    /// A change, on a watching connection.
    Evt(Event<'a>),
    /// An error. The code is text, since a newer server may have more; see [`Code::from_name`](crate::Code::from_name).
    Err {
        /// The code.
        code: &'a str,
        /// The text for people.
        text: &'a str,
    },
}

/// Which condition did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    /// The entry exists, with this version.
    Exists(u64),
    /// The entry has this other version.
    Version(u64),
    /// The entry is absent.
    Absent,
    /// This check of a transaction failed, counted from 0.
    Check(u64),
    /// The value has nothing at that path.
    Path,
}

/// A change to an entry, or the progress of a stream without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// An entry was set, deleted, or expired.
    Change {
        /// What happened.
        kind: EventKind,
        /// The version of the change.
        version: u64,
        /// The entry's namespace.
        namespace: Cow<'a, str>,
        /// The entry's key.
        key: Cow<'a, str>,
        /// The entry's expiry in Unix milliseconds.
        expires_ms: Option<u64>,
        /// The value, where values were asked for.
        json: Option<&'a str>,
    },
    /// Everything up to this version has been sent.
    Progress {
        /// The version.
        version: u64,
    },
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was created or changed.
    Set,
    /// It was deleted.
    Del,
    /// It expired.
    Expire,
}

/// An `ITEM` of `LIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryItem<'a> {
    /// The entry's key.
    pub key: Cow<'a, str>,
    /// Its version.
    pub version: u64,
    /// Its expiry in Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// Its value, where values were asked for.
    pub json: Option<&'a str>,
}

/// A line is not a reply of this protocol, or not the one that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The line is not UTF-8.
    #[error("the reply is not UTF-8")]
    Encoding,
    /// No reply begins so.
    #[error("the reply is of no known kind; is this a Larder server?")]
    Kind,
    /// The fields are not those of this reply.
    #[error("the fields of the reply are malformed")]
    Fields,
}

impl EventKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Del => "del",
            Self::Expire => "expire",
        }
    }
}

impl<'a> Reply<'a> {
    /// Parses one line, without its LF.
    ///
    /// ```
    /// use larder_protocol::reply::Reply;
    ///
    /// let reply = Reply::parse(br#"VAL 17 - {"user":"u_456"}"#)?;
    /// assert_eq!(reply, Reply::Val { version: 17, expires_ms: None, json: r#"{"user":"u_456"}"# });
    /// # Ok::<(), larder_protocol::reply::ReplyError>(())
    /// ```
    pub fn parse(line: &'a [u8]) -> Result<Self, ReplyError> {
        let line = std::str::from_utf8(line).map_err(|_| ReplyError::Encoding)?;
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let fields = Fields(rest);
        match kind {
            "OK" => Ok(Self::Ok(fields)),
            "VAL" => fields.val(),
            "NIL" => fields.none().map(|()| Self::Nil),
            "NO" => fields.no().map(Self::No),
            "ITEM" => Ok(Self::Item(fields)),
            "END" => fields.end(),
            "EVT" => fields.event().map(Self::Evt),
            "ERR" => {
                let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
                if code.is_empty() { Err(ReplyError::Fields) } else { Ok(Self::Err { code, text }) }
            }
            _ => Err(ReplyError::Kind),
        }
    }
}

/// What follows the first word of a reply. The command that was sent says which of the readings is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    /// All of it, as text: JSON, or a line of help.
    #[must_use]
    pub const fn text(self) -> &'a str {
        self.0
    }

    /// Nothing.
    pub fn none(self) -> Result<(), ReplyError> {
        if self.0.is_empty() { Ok(()) } else { Err(ReplyError::Fields) }
    }

    /// One number: a count or a version.
    pub fn number(mut self) -> Result<u64, ReplyError> {
        let number = self.take_number()?;
        self.none().map(|()| number)
    }

    /// One number, or `-` for none: the milliseconds left.
    pub fn number_or_none(mut self) -> Result<Option<u64>, ReplyError> {
        let number = self.take_expires()?;
        self.none().map(|()| number)
    }

    /// `<version> <expires>` of a write.
    pub fn written(mut self) -> Result<(u64, Option<u64>), ReplyError> {
        let stamp = (self.take_number()?, self.take_expires()?);
        self.none().map(|()| stamp)
    }

    /// One token: a namespace.
    pub fn token(mut self) -> Result<Cow<'a, str>, ReplyError> {
        let token = self.take_token()?;
        self.none().map(|()| token)
    }

    /// An item of `LIST`.
    pub fn entry(mut self) -> Result<EntryItem<'a>, ReplyError> {
        let (key, version) = (self.take_token()?, self.take_number()?);
        let (expires_ms, json) = self.take_expires_and_json()?;
        Ok(EntryItem { key, version, expires_ms, json })
    }

    /// An item of `NAMESPACES`: the name and its live entries.
    pub fn namespace(mut self) -> Result<(Cow<'a, str>, u64), ReplyError> {
        let item = (self.take_token()?, self.take_number()?);
        self.none().map(|()| item)
    }

    fn val(mut self) -> Result<Reply<'a>, ReplyError> {
        let version = self.take_number()?;
        let (expires_ms, json) = self.take_expires_and_json()?;
        Ok(Reply::Val { version, expires_ms, json: json.ok_or(ReplyError::Fields)? })
    }

    fn no(mut self) -> Result<No, ReplyError> {
        let no = match self.take_word() {
            "EXISTS" => No::Exists(self.take_number()?),
            "VERSION" => No::Version(self.take_number()?),
            "ABSENT" => No::Absent,
            "CHECK" => No::Check(self.take_number()?),
            "PATH" => No::Path,
            _ => return Err(ReplyError::Fields),
        };
        self.none().map(|()| no)
    }

    fn end(mut self) -> Result<Reply<'a>, ReplyError> {
        let count = self.take_number()?;
        let next = match self.0 {
            "" => None,
            rest => Some(rest.strip_prefix("next=").ok_or(ReplyError::Fields)?),
        };
        Ok(Reply::End { count, next })
    }

    fn event(mut self) -> Result<Event<'a>, ReplyError> {
        let kind = match self.take_word() {
            "set" => EventKind::Set,
            "del" => EventKind::Del,
            "expire" => EventKind::Expire,
            "progress" => return self.number().map(|version| Event::Progress { version }),
            _ => return Err(ReplyError::Fields),
        };
        let (version, namespace, key) = (self.take_number()?, self.take_token()?, self.take_token()?);
        let (expires_ms, json) = self.take_expires_and_json()?;
        Ok(Event::Change { kind, version, namespace, key, expires_ms, json })
    }

    fn take_word(&mut self) -> &'a str {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        word
    }

    fn take_number(&mut self) -> Result<u64, ReplyError> {
        self.take_word().parse().map_err(|_| ReplyError::Fields)
    }

    fn take_expires(&mut self) -> Result<Option<u64>, ReplyError> {
        match self.take_word() {
            "-" => Ok(None),
            number => number.parse().map(Some).map_err(|_| ReplyError::Fields),
        }
    }

    fn take_expires_and_json(&mut self) -> Result<(Option<u64>, Option<&'a str>), ReplyError> {
        let expires_ms = self.take_expires()?;
        Ok((expires_ms, if self.0.is_empty() { None } else { Some(self.0) }))
    }

    fn take_token(&mut self) -> Result<Cow<'a, str>, ReplyError> {
        let token = token::read(self.0, 0).map_err(|_| ReplyError::Fields)?;
        self.0 = self.0.get(token.end + 1..).unwrap_or("");
        Ok(token.text)
    }
}
