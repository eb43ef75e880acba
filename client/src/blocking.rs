//! The blocking clients: the same as the async ones, on sockets of the standard library and without a runtime.

mod client;
mod connection;
mod items;
mod pool;
mod watcher;

pub use client::Client;
pub use connection::{Connection, Events};
pub use items::Items;
pub use watcher::Watcher;
