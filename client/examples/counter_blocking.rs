//! Counting by compare-and-swap, blocking: `cargo run -p larder-client --features serde --example counter_blocking [HOST:PORT]`
//!
//! Four threads count to a hundred each. A write under a version cannot happen twice, so the client itself tries it again when
//! a connection fails; what then is still in doubt is decided here.

use std::thread;

use larder_client::blocking::Client;
use larder_client::reply::Outcome;
use larder_client::request::Set;
use larder_client::{Error, to_json};

const THREADS: u64 = 4;
const ROUNDS: u64 = 100;

fn main() -> Result<(), Error> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5273".to_owned());
    let client = Client::connect(addr)?.namespace("counter_blocking");
    let _ = client.set_as("visits", &0)?;
    thread::scope(|scope| {
        let count = || (0..ROUNDS).try_for_each(|_| add(&client, "visits", 1).map(|_| ()));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(count)).collect();
        for thread in threads {
            match thread.join() {
                Ok(counted) => counted?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, Error>(())
    })?;
    let visits = client.get_as::<u64>("visits")?;
    println!("{:?} of {}", visits.map(|visits| visits.value), THREADS * ROUNDS);
    Ok(())
}

/// Adds to a number. An error that [may have happened](Error::may_have_happened) is handed on: only who keeps note of what
/// was added, in the entry itself, could tell.
fn add(client: &Client, key: &str, amount: u64) -> Result<u64, Error> {
    loop {
        let found = client.get_as::<u64>(key)?;
        let sum = found.map_or(0, |found| found.value) + amount;
        let json = to_json(&sum)?;
        let set = Set::new(key, &json);
        let set = match found {
            Some(found) => set.if_version(found.version),
            None => set.if_absent(),
        };
        match client.call(&set)? {
            Outcome::Done(_) => return Ok(sum),
            // Somebody else was quicker.
            Outcome::Refused(_) => {}
        }
    }
}
