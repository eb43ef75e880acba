//! Counting by compare-and-swap, async: `cargo run -p larder-client --features serde --example counter [HOST:PORT]`
//!
//! Ten tasks count to a hundred each. A write under a version cannot happen twice, so the client itself tries it again when a
//! connection fails; what then is still in doubt is decided here.

use larder_client::reply::Outcome;
use larder_client::request::Set;
use larder_client::{Client, Error, to_json};

const TASKS: u64 = 10;
const ROUNDS: u64 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5273".to_owned());
    let client = Client::connect(addr).await?.namespace("counter");
    let _ = client.set_as("visits", &0).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let client = client.clone();
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                add(&client, "visits", 1).await?;
            }
            Ok::<_, Error>(())
        });
    }
    for added in tasks.join_all().await {
        added?;
    }
    let visits = client.get_as::<u64>("visits").await?;
    println!("{:?} of {}", visits.map(|visits| visits.value), TASKS * ROUNDS);
    Ok(())
}

/// Adds to a number. An error that [may have happened](Error::may_have_happened) is handed on: only who keeps note of what
/// was added, in the entry itself, could tell.
async fn add(client: &Client, key: &str, amount: u64) -> Result<u64, Error> {
    loop {
        let found = client.get_as::<u64>(key).await?;
        let sum = found.map_or(0, |found| found.value) + amount;
        let json = to_json(&sum)?;
        let set = Set::new(key, &json);
        let set = match found {
            Some(found) => set.if_version(found.version),
            None => set.if_absent(),
        };
        match client.call(&set).await? {
            Outcome::Done(_) => return Ok(sum),
            // Somebody else was quicker.
            Outcome::Refused(_) => {}
        }
    }
}
