//! A client for Larder that an application makes once and keeps: [`Client`] on tokio, and [`blocking::Client`] on the standard
//! library.
//!
//! Both are cheap to clone and reconnect by themselves. When a connection fails, requests that only read are sent again, and so
//! are those that had not been sent in full. A write that may have happened is never sent again unless that is safe: a write
//! under a version is, since versions are never used twice; one under `if=absent` is not, since the entry may be gone again.
//! What is then not known is told so: [`Error::may_have_happened`]. Each command is a type in [`request`] that knows its reply, a
//! type in [`reply`], and how often it may be sent ([`request::Repeat`]).
//!
//! Values are JSON text and stay text: what comes back is exactly what was stored, digits and order of keys
//! included. With the feature `serde` they are types of the application as well (`get_as`, `set_as`). A condition that did not
//! hold is an answer ([`reply::Outcome::Refused`]), not an error.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use larder_client::reply::Outcome;
//! use larder_client::request::{Get, Set};
//! use larder_client::{Error, blocking};
//!
//! let client = blocking::Client::connect("127.0.0.1:5273")?;
//!
//! let _ = client.set("greeting", r#"{"text":"hello"}"#)?;
//! let value = client.get("greeting")?.expect("it was set just now");
//! assert_eq!(value.json, r#"{"text":"hello"}"#);
//!
//! // Every option of a command is a method of its request.
//! let lock = Set::new("lock", "true").ttl(Duration::from_secs(30)).if_absent();
//! match client.call(&lock)? {
//!     Outcome::Done(stamp) => println!("taken, version {}", stamp.version),
//!     Outcome::Refused(_) => println!("somebody else has it"),
//! }
//!
//! // Requests of one kind go out together, and the replies come in their order.
//! for value in client.pipeline(&[Get::new("user:1"), Get::new("user:2")]) {
//!     println!("{:?}", value?);
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # Transactions
//! Checks and writes that happen all or not at all:
//!
//! ```no_run
//! use larder_client::reply::Commit;
//! use larder_client::request::{Del, Set, Transaction};
//! use larder_client::{Error, blocking};
//!
//! let mut client = blocking::Client::connect("127.0.0.1:5273")?;
//! let balance = client.get("balance:1")?.expect("there is an account");
//! let transfer = Transaction::new()
//!     .check("balance:1", balance.version)
//!     .check_absent("transfer:7")
//!     .set(Set::new("balance:1", "95"))
//!     .set(Set::new("transfer:7", r#"{"amount":5}"#))
//!     .del(Del::new("pending:7"));
//! match client.transact(&transfer)? {
//!     Commit::Done { version } => println!("done, version {version:?}"),
//!     Commit::Refused { check } => println!("check {check} did not hold; read again"),
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # Watching
//! `watch` of a client gives every change as it becomes durable, from any version on that the server still has, over failures
//! of connections and servers:
//!
//! ```no_run
//! use larder_client::reply::Event;
//! use larder_client::request::Watch;
//! use larder_client::{Error, blocking};
//!
//! let client = blocking::Client::connect("127.0.0.1:5273")?;
//! for event in client.watch(Watch::prefix("user:").values())? {
//!     match event {
//!         Ok(Event::Change(change)) => println!("{} {}", change.kind.as_str(), change.key),
//!         Ok(Event::Progress { version }) => println!("nothing more up to version {version}"),
//!         Err(Error::Compacted { floor, .. }) => println!("the log goes back to {floor} only: begin anew"),
//!         Err(error) => println!("{error}"),
//!     }
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # Below
//! [`Connection`] and [`blocking::Connection`] are single connections that do none of this by themselves. One core without any
//! I/O writes requests and matches replies to them, another decides what is sent again; the clients move their bytes and
//! wait.

#![forbid(unsafe_code)]

mod backoff;
pub mod blocking;
#[cfg(feature = "async")]
mod client;
#[cfg(feature = "async")]
mod connection;
#[cfg(feature = "async")]
mod driver;
mod error;
mod exchange;
mod follow;
mod inbox;
#[cfg(feature = "async")]
mod items;
mod lane;
mod options;
mod outbox;
mod place;
pub mod reply;
pub mod request;
mod resume;
#[cfg(feature = "tls")]
mod tls;
mod token;
#[cfg(feature = "serde")]
mod typed;
mod verbs;
mod walk;
#[cfg(feature = "async")]
mod watcher;

#[cfg(feature = "async")]
pub use client::Client;
#[cfg(feature = "async")]
pub use connection::{Connection, Events};
pub use error::Error;
pub use exchange::Pending;
#[cfg(feature = "async")]
pub use items::Items;
pub use larder_protocol::{
    Code, Code as ErrorCode, Condition, Expiry, RequestError, Ttl, ValueType, rfc3339,
};
pub use options::Options;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
pub use token::Token;
#[cfg(feature = "serde")]
pub use typed::to_json;
#[cfg(feature = "async")]
pub use watcher::Watcher;

/// The examples of the crate's README, compiled.
#[cfg(all(doctest, feature = "async"))]
#[doc = include_str!("../README.md")]
struct Readme;
