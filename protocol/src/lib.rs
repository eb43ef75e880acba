//! The line protocol of Larder, version 1: what goes over the wire, and nothing of who sends it.
//!
//! One request is one line, a reply is one line or, for listings, item lines closed by an `END`. This crate holds
//! both ends of that contract: requests are parsed for a server ([`parse`]) and written for a client
//! ([`RequestLine`]), replies are written for a server ([`reply::write`]) and parsed for a client
//! ([`reply::Reply`]). It knows no engine and no socket, reads no clock, and never panics on input.
//!
//! The way of a request through a server: [`LineCodec`] cuts chunks of complete lines from the socket's buffer,
//! [`lines()`] walks over a chunk, and [`parse`] turns each line into a [`Request`] that borrows from it, in one pass
//! and, but for escapes and inner white space, without an allocation.
//!
//! ```
//! use bytes::BytesMut;
//! use larder_protocol::reply::{Reply, write};
//! use larder_protocol::{Command, Frame, Limits, LineCodec, RequestLine, Verb, lines, parse};
//! use tokio_util::codec::Decoder;
//!
//! // The client writes a request …
//! let mut sent = Vec::new();
//! RequestLine::new(&mut sent, Verb::Get).token("session:42").end()?;
//!
//! // … the server cuts and parses it, and answers …
//! let limits = Limits::DEFAULT;
//! let mut answer = Vec::new();
//! let mut codec = LineCodec::new(limits.lines());
//! if let Some(Frame::Lines(chunk)) = codec.decode(&mut BytesMut::from(&sent[..]))? {
//!     for line in lines(&chunk) {
//!         match parse(line, &limits) {
//!             Ok(request) => match request.command {
//!                 Command::Get { key, .. } if key == "session:42" => write::val(&mut answer, 17, None, b"true"),
//!                 _ => write::nil(&mut answer),
//!             },
//!             Err(error) => write::err(&mut answer, error.code, &error.text),
//!         }
//!     }
//! }
//!
//! // … and the client reads the reply.
//! let line = lines(&answer).next().unwrap();
//! assert_eq!(Reply::parse(line)?, Reply::Val { version: 17, expires_ms: None, json: "true" });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod code;
mod codec;
mod command;
mod cursor;
mod http_guard;
mod instant;
pub mod json;
mod limits;
mod lines;
pub mod reply;
mod request;
mod rfc3339;
mod swar;
mod table;
mod token;
mod ttl;
mod value_type;

pub use code::{Code, ParseError};
pub use codec::{CHUNK_BYTES, Frame, LineCodec, OVERRUN_FACTOR};
pub use command::{
    BACKUP_NAME_BYTES_MAX, CHECKS_MAX, Check, Command, Condition, Expiry, Incr, KEYS_MAX, Key,
    LIST_PAGE_DEFAULT, Limit, List, NAMESPACES_PAGE_DEFAULT, NewKey, OPERATIONS_MAX, Operation, Org,
    PAGE_MAX, Patch, Request, Secret, Set, Settings, Transaction, Watch, Write, check_backup_name, parse,
};
pub use cursor::{CursorError, decode_cursor, encode_cursor};
pub use limits::{DEPTH_MAX, Limits, LineLimits};
pub use lines::{Lines, lines};
pub use request::{RequestError, RequestLine, SetOptions, TransactionLine};
pub use rfc3339::rfc3339;
pub use table::{COMMANDS, Class, Row, Verb};
pub use token::{is_bare, write_token};
pub use ttl::{Ttl, TtlError, deadline};
pub use value_type::{TypeMismatch, ValueType};
