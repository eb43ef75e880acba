//! A copy of a prefix that stays up to date, blocking: `cargo run -p larder-client --example watch_blocking [HOST:PORT]`
//!
//! It watches first and lists then, and for each key keeps the higher version. Kill the server and start it again: nothing is
//! missed. Runs until Ctrl-C; `--once` ends it with the first change.

use std::collections::BTreeMap;

use larder_client::Error;
use larder_client::blocking::Client;
use larder_client::reply::{Event, EventKind};
use larder_client::request::{List, Watch};

fn main() -> Result<(), Error> {
    let (once, rest): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument == "--once");
    let addr = rest.into_iter().next().unwrap_or_else(|| "127.0.0.1:5273".to_owned());
    let client = Client::connect(addr)?;
    loop {
        match mirror(&client, !once.is_empty()) {
            // The log does not go back to where we were. A new listing has all there is.
            Err(Error::Compacted { floor, .. }) => {
                println!("the log goes back to version {floor} only; beginning anew");
            }
            ended => return ended,
        }
    }
}

fn mirror(client: &Client, once: bool) -> Result<(), Error> {
    let watcher = client.watch(Watch::prefix("user:").values())?;
    // Of each key the highest version, and the value unless it is gone.
    let mut copy: BTreeMap<String, (u64, Option<String>)> = BTreeMap::new();
    for item in client.items(List::prefix("user:").values()) {
        let item = item?;
        copy.insert(item.key, (item.version, item.json));
    }
    println!("{} entries to begin with", copy.len());
    for event in watcher {
        let Event::Change(change) = event? else { continue };
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
