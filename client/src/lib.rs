//! A thin client for Larder: a socket, the protocol, and types for what goes over it.
//!
//! Each command is a type in [`request`] that knows its reply, a type in [`reply`]. One core without any I/O writes
//! requests and matches replies to them; two thin shells move its bytes: [`Client`] on tokio and
//! [`blocking::Client`] on the standard library. There is no pool, no retry and no reconnecting here, since only
//! the caller knows which of its requests may be sent twice.
//!
//! Values are JSON text and stay text: what comes back is exactly what was stored, digits and order of keys
//! included. A condition that did not hold is an answer ([`reply::Outcome::Refused`]), not an error.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use larder_client::reply::Outcome;
//! use larder_client::request::{Get, Set};
//! use larder_client::{Error, blocking};
//!
//! let mut client = blocking::Client::connect("127.0.0.1:5273")?;
//!
//! client.set("greeting", r#"{"text":"hello"}"#)?;
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
//! // Pipelining: requests go out together, and the replies come in their order.
//! let user = client.send(&Get::new("user:1"))?;
//! let count = client.send(&larder_client::request::Count::all())?;
//! println!("{:?} of {}", client.receive(user)?, client.receive(count)?);
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
//! `watch` of a client gives every change as it becomes durable, from any version on that the server still has:
//!
//! ```no_run
//! use larder_client::reply::Event;
//! use larder_client::request::Watch;
//! use larder_client::{Error, blocking};
//!
//! let mut client = blocking::Client::connect("127.0.0.1:5273")?;
//! let mut watcher = client.watch(Watch::prefix("user:").values())?;
//! while let Some(event) = watcher.next() {
//!     match event {
//!         Ok(Event::Change(change)) => println!("{} {}", change.kind.as_str(), change.key),
//!         Ok(Event::Progress { .. }) => {}
//!         // Connect again, and go on with `Watch::from` and this version.
//!         Err(error) => println!("{error}; everything up to {} was told", watcher.version()),
//!     }
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! The async client has the same methods, each to be awaited but for `send`, which only writes to a buffer.

#![forbid(unsafe_code)]

pub mod blocking;
#[cfg(feature = "async")]
mod client;
mod connection;
mod error;
mod follow;
mod inbox;
mod options;
mod outbox;
pub mod reply;
pub mod request;
mod token;
mod verbs;
mod walk;

#[cfg(feature = "async")]
pub use client::{Client, Items, Watcher};
pub use connection::Pending;
pub use error::Error;
pub use larder_protocol::{Code, Condition, Expiry, RequestError, Ttl, ValueType, rfc3339};
pub use options::Options;
pub use token::Token;
