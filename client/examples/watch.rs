//! A copy of a prefix that stays up to date, async: `cargo run -p larder-client --example watch [HOST:PORT]`
//!
//! It watches first and lists then, and for each key keeps the higher version. Kill the server and start it again: nothing is
//! missed. Runs until Ctrl-C; `--once` ends it with the first change.

use std::collections::BTreeMap;

use larder_client::reply::{Event, EventKind};
use larder_client::request::{List, Watch};
use larder_client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (once, rest): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument == "--once");
    let addr = rest.into_iter().next().unwrap_or_else(|| "127.0.0.1:5273".to_owned());
    let client = Client::connect(addr).await?;
    loop {
        match mirror(&client, !once.is_empty()).await {
            // The log does not go back to where we were. A new listing has all there is.
            Err(Error::Compacted { floor, .. }) => {
                println!("the log goes back to version {floor} only; beginning anew");
            }
            ended => return ended,
        }
    }
}

async fn mirror(client: &Client, once: bool) -> Result<(), Error> {
    let mut watcher = client.watch(Watch::prefix("user:").values()).await?;
    // Of each key the highest version, and the value unless it is gone.
    let mut copy: BTreeMap<String, (u64, Option<String>)> = BTreeMap::new();
    let mut listing = client.items(List::prefix("user:").values());
    while let Some(item) = listing.next().await? {
        copy.insert(item.key, (item.version, item.json));
    }
    println!("{} entries to begin with", copy.len());
    while let Some(event) = watcher.next().await? {
        let Event::Change(change) = event else { continue };
        let (version, value) = copy.entry(change.key.clone()).or_default();
        if change.version > *version {
            *version = change.version;
            *value = change.json.filter(|_| change.kind == EventKind::Set);
            println!("{} {} {}", change.kind.as_str(), change.key, value.as_deref().unwrap_or("is gone"));
        }
        if once {
            break;
        }
    }
    Ok(())
}
