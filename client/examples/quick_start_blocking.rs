//! The first steps, blocking: `cargo run -p larder-client --example quick_start_blocking [HOST:PORT]`

use std::time::Duration;

use larder_client::Error;
use larder_client::blocking::Client;
use larder_client::reply::Outcome;
use larder_client::request::{Del, List, Set};

fn main() -> Result<(), Error> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5273".to_owned());
    // Made once, cloned wherever it is needed. This one works in a namespace of its own.
    let client = Client::connect(addr)?.namespace("quick_start");

    let _ = client.set("user:1", r#"{"name":"Ada"}"#)?;
    let _ = client.set("user:2", r#"{"name":"Grace"}"#)?;
    if let Some(value) = client.get("user:1")? {
        println!("user:1 is {}, version {}", value.json, value.version);
    }

    // Every option of a command is a method of its request.
    let lock = Set::new("lock", "true").ttl(Duration::from_secs(30)).if_absent();
    match client.call(&lock)? {
        Outcome::Done(stamp) => println!("the lock is ours, version {}", stamp.version),
        Outcome::Refused(_) => println!("somebody else has the lock"),
    }

    for user in client.items(List::prefix("user:").values()) {
        let user = user?;
        println!("{} {}", user.key, user.json.unwrap_or_default());
    }

    // Requests of one kind go out together.
    let deletes = ["user:1", "user:2", "lock"].map(Del::new);
    for deleted in client.pipeline(&deletes) {
        println!("{:?}", deleted?);
    }
    Ok(())
}
