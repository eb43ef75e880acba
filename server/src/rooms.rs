//! Room for long lines and long replies, which all connections share.
//!
//! What is usual, a connection keeps in small buffers of its own. A line or replies beyond [`SMALL_BYTES`] need a place,
//! of which there is a fixed number; so the memory of all connections together has a bound, however many they are and
//! whatever they send or do not read. Who finds no place waits for one, in turn: nothing is read from it meanwhile. Lines,
//! transactions that are longer than any other line, listings and replies have places of their own. Who holds one may wait for one of a later kind in this order, never of
//! an earlier one, so nobody waits in a circle. And nobody waits for the disk with a place for replies; whoever lists waits for
//! what has been written by then before it takes a place. So those of what is acknowledged go on while a disk stands still.
//!
//! A place must not be kept by a client that lies still. Its own deadline ends that; and while all places of its kind are
//! taken, one [`PATIENCE`] without a byte is enough to be cut off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a connection may hold of lines and of replies without a place.
pub(crate) const SMALL_BYTES: usize = 16 * 1024;
/// How long a client that moves nothing keeps its place from those who wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// The places of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Rooms(Arc<Semaphore>);

/// One of them; it is given back when this is dropped.
pub(crate) type Room = OwnedSemaphorePermit;

impl Rooms {
    pub(crate) fn of(places: usize) -> Rooms {
        Rooms(Arc::new(Semaphore::new(places)))
    }

    /// A place, if there is one at once.
    pub(crate) fn try_take(&self) -> Option<Room> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }

    /// A place, as soon as it is this caller's turn.
    pub(crate) async fn take(&self) -> io::Result<Room> {
        // It is never closed.
        Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)
    }

    /// Whether all are taken, so that others may be waiting.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.available_permits() == 0
    }
}
