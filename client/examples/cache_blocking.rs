//! A cache whose entries expire, blocking: `cargo run -p larder-client --features serde --example cache_blocking [HOST:PORT]`
//!
//! A cache must not be worse than none: where the server does not answer soon, what was asked for is worked out.

use std::time::Duration;

use larder_client::blocking::Client;
use larder_client::request::{Again, Set};
use larder_client::{Error, Options, to_json};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Weather {
    city: String,
    degrees: i32,
}

fn main() -> Result<(), Error> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5273".to_owned());
    let options = Options {
        namespace: Some("weather".to_owned()),
        request_timeout: Some(Duration::from_millis(500)),
        retry_for: Duration::from_millis(200),
        ..Options::default()
    };
    // It connects when there is something to send, and so starts without a server too.
    let client = Client::lazy(addr, &options);
    for city in ["Bern", "Oslo", "Bern"] {
        println!("{:?}", weather(&client, city)?);
    }
    Ok(())
}

fn weather(client: &Client, city: &str) -> Result<Weather, Error> {
    match client.get_as::<Weather>(city) {
        Ok(Some(found)) => {
            println!("{city} is in the cache until {:?}", found.expires_ms);
            return Ok(found.value);
        }
        Ok(None) => {}
        Err(error) => println!("no cache: {error}"),
    }
    let weather = work_out(city);
    let json = to_json(&weather)?;
    // It may as well be stored twice.
    let set = Again(Set::new(city, &json).ttl(Duration::from_secs(60)));
    if let Err(error) = client.call(&set) {
        println!("not kept: {error}");
    }
    Ok(weather)
}

fn work_out(city: &str) -> Weather {
    let degrees = city.bytes().map(i32::from).sum::<i32>() % 40 - 10;
    Weather { city: city.to_owned(), degrees }
}
