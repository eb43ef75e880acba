//! Load for a key-value server over TCP, and what the server spent on it.
//!
//! The way of a request: [`workload`] draws an operation (of a [`mix`], on a key by its [`popularity`]; a [`shape`] has all of that by
//! name), [`dialect`] encodes it, a connection of the [`pool`]
//! writes a batch of them and recognises the replies, [`tally`] counts them. [`measure`] puts that between two
//! samples of the server's [`procfs`] counters, and [`report`] says what came out.
//! [`contender`] starts servers for [`compare`] and [`expiry`]; [`http`] compares over HTTP, by `wrk`; [`engines`] without a network. [`limit`] is the server that does nothing but the protocol.
//!
//! Linux only: the CPU time of another process comes from `/proc`, the waiting from epoll.

pub mod affinity;
pub mod arrivals;
pub mod cgroup;
mod chart;
pub mod compare;
mod connection;
pub mod contender;
pub mod dialect;
pub mod endurance;
pub mod engines;
mod error;
pub mod expiry;
pub mod http;
pub mod key;
pub mod lifetime;
pub mod limit;
pub mod machine;
pub mod measure;
pub mod mix;
pub mod pauses;
pub mod pool;
pub mod popularity;
mod process;
pub mod procfs;
pub mod random;
pub mod report;
pub mod shape;
mod stream;
pub mod tally;
pub mod unmapped;
pub mod value;
pub mod weighted;
pub mod workload;
pub mod zipf;

pub use error::Error;
