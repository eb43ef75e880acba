//! Larder's engine beside other storage engines, each of which is there if the feature of its name is.
//!
//! The work, the processes and the table are those of [`larder_benches::engines`]. A peer is a file here: how it is opened, as its
//! own documentation recommends for what is measured, and its verbs behind [`Engine`](larder_benches::engines::Engine).

#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sled")]
mod sled;
#[cfg(any(feature = "fjall", feature = "lmdb", feature = "redb", feature = "rocksdb", feature = "sled"))]
mod version;

use larder_benches::engines::{Candidate, Result, run};

fn main() -> Result<()> {
    let peers: Vec<Candidate> = Vec::from([
        #[cfg(feature = "rocksdb")]
        rocksdb::candidate(),
        #[cfg(feature = "lmdb")]
        lmdb::candidate(),
        #[cfg(feature = "redb")]
        redb::candidate(),
        #[cfg(feature = "fjall")]
        fjall::candidate(),
        #[cfg(feature = "sled")]
        sled::candidate(),
    ]);
    run::main(peers)
}
