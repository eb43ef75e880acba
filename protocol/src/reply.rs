//! Replies: the server's writers and the client's parser, side by side so that they cannot drift apart.

mod read;
pub mod write;

pub use read::{EntryItem, Event, EventKind, Fields, No, Reply, ReplyError};
