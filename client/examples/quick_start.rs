//! The first steps, async: `cargo run -p larder-client --example quick_start [HOST:PORT]`

use std::time::Duration;

use larder_client::reply::Outcome;
use larder_client::request::{Del, List, Set};
use larder_client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5273".to_owned());
    // Made once, cloned wherever it is needed. This one works in a namespace of its own.
    let client = Client::connect(addr).await?.namespace("quick_start");

    let _ = client.set("user:1", r#"{"name":"Ada"}"#).await?;
    let _ = client.set("user:2", r#"{"name":"Grace"}"#).await?;
    if let Some(value) = client.get("user:1").await? {
        println!("user:1 is {}, version {}", value.json, value.version);
    }

    // Every option of a command is a method of its request.
    let lock = Set::new("lock", "true").ttl(Duration::from_secs(30)).if_absent();
    match client.call(&lock).await? {
        Outcome::Done(stamp) => println!("the lock is ours, version {}", stamp.version),
        Outcome::Refused(_) => println!("somebody else has the lock"),
    }

    // Requests that do not wait for each other go out together.
    let (first, second, count) =
        tokio::join!(client.get("user:1"), client.get("user:2"), client.count("user:"));
    println!("{} and {} of {}", first?.is_some(), second?.is_some(), count?);

    let mut users = client.items(List::prefix("user:").values());
    while let Some(user) = users.next().await? {
        println!("{} {}", user.key, user.json.unwrap_or_default());
    }

    let deletes = ["user:1", "user:2", "lock"].map(Del::new);
    for deleted in client.pipeline(&deletes).await {
        println!("{:?}", deleted?);
    }
    Ok(())
}
