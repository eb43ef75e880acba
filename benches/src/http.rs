//! HTTP: reads of one entry over connections that are kept, under `wrk`, against a server of the same libraries that answers
//! with as many bytes, headers included, and does nothing else: what HTTP costs by itself.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use axum::routing::get;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime;

use crate::Error;
use crate::affinity::pin;
use crate::contender::free_addr;
use crate::process::Process;
use crate::random::Random;
use crate::value::Values;

/// Where the entry is; the other server answers at any path.
const PATH: &str = "/v1/namespaces/default/entries/key";

/// What stands at the head of Larder's answer, so that the other one has as many bytes and as many headers.
const AS_LARDER: [(HeaderName, &str); 6] = [
    (CONTENT_TYPE, "application/json"),
    (CACHE_CONTROL, "no-cache"),
    (HeaderName::from_static("larder-type"), "JSON"),
    (LAST_MODIFIED, "Mon, 30 Nov 2026 05:04:02 GMT"),
    (ETAG, "\"1\""),
    (HeaderName::from_static("x-request-id"), "51d21f3f63d42c3e-10000"),
];

/// What is measured, and how.
#[derive(Debug)]
pub struct Conditions {
    /// The `larder` program.
    pub larder: PathBuf,
    /// The program that runs [`serve_constant`], and the arguments that it takes before the size.
    pub constant: (PathBuf, Vec<String>),
    /// The core of the server.
    pub server_core: usize,
    /// The core of `wrk`.
    pub generator_core: usize,
    /// Connections.
    pub connections: usize,
    /// Bytes of the value.
    pub value_bytes: usize,
    /// Seconds of each run.
    pub seconds: u64,
    /// Runs of each, in turn.
    pub rounds: usize,
}

/// Requests a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of Larder.
    pub larder: f64,
    /// Of the server that answers a constant.
    pub constant: f64,
    /// The first as a share of the second, in runs one after the other: a machine may be slower for a while, for both.
    pub share: f64,
}

/// Runs both in turn, and gives medians.
pub fn measure(conditions: &Conditions) -> Result<Rates, Error> {
    pin(conditions.server_core)?;
    let directory = TempDir::with_prefix("larder-http-bench-")?;
    let http = free_addr()?;
    let mut command = Command::new(&conditions.larder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--http", &http.to_string(), "--data"]);
    let (_larder, lines) = Process::announcing(command.arg(directory.path()))?;
    let value = Values::generate(&mut Random::seeded(1), conditions.value_bytes);
    put(lines, value.pick(&mut Random::seeded(1)))?;
    let (program, arguments) = &conditions.constant;
    let mut command = Command::new(program);
    command.args(arguments).arg(conditions.value_bytes.to_string());
    let (_constant, constant) = Process::announcing(&mut command)?;
    pin(conditions.generator_core)?;
    let (mut of_larder, mut of_constant) = (Vec::new(), Vec::new());
    for _ in 0..conditions.rounds {
        of_larder.push(load(http, conditions)?);
        of_constant.push(load(constant, conditions)?);
    }
    let shares = of_larder.iter().zip(&of_constant).map(|(larder, constant)| larder / constant).collect();
    Ok(Rates { larder: median(of_larder), constant: median(of_constant), share: median(shares) })
}

fn put(lines: SocketAddr, value: &str) -> Result<(), Error> {
    let mut stream = TcpStream::connect(lines)?;
    stream.write_all(format!("SET key {value}\n").as_bytes())?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    if reply.starts_with("OK ") { Ok(()) } else { Err(Error::Faults { count: 1, first: reply }) }
}

/// One run of `wrk`. Gives the requests a second.
fn load(addr: SocketAddr, conditions: &Conditions) -> Result<f64, Error> {
    let failed = |reason: String| Error::Start { program: "wrk".to_owned(), reason };
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &conditions.connections.to_string()])
        .args(["--duration", &format!("{}s", conditions.seconds), &format!("http://{addr}{PATH}")])
        .output()
        .map_err(|error| failed(format!("{error}; apt-get install wrk")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    rate(&text).ok_or_else(|| failed(format!("it says: {}", text.trim())))
}

/// What `wrk` says, unless anything went wrong.
fn rate(text: &str) -> Option<f64> {
    let faulty = text.contains("Non-2xx") || text.contains("Socket errors");
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"))?;
    rate.trim().parse().ok().filter(|_| !faulty)
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Serves so many bytes of JSON at one path until the process is ended; says first where.
pub fn serve_constant(value_bytes: usize) -> Result<(), Error> {
    let value = Values::generate(&mut Random::seeded(1), value_bytes).pick(&mut Random::seeded(1)).to_owned();
    let answer = move || {
        let value = value.clone();
        async move { (AS_LARDER, value) }
    };
    runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("listening on {}", listener.local_addr()?);
        #[expect(clippy::disallowed_methods, reason = "it is no interface that anybody has to know")]
        let router = Router::new().route("/v1/namespaces/{namespace}/entries/{*key}", get(answer));
        axum::serve(listener, router).await?;
        Ok(())
    })
}

/// The program that is running.
pub fn this_program() -> Result<PathBuf, Error> {
    Ok(std::env::current_exe()?)
}

/// What a person reads.
#[must_use]
pub fn table(rates: Rates, larder: &Path) -> String {
    format!(
        "{:>10.0} requests/s  {}\n{:>10.0} requests/s  a constant of the same size\n{:>10.2} of it\n",
        rates.larder,
        larder.display(),
        rates.constant,
        rates.share,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let text =
            "Running 1s test\n  2 requests in 1.00s, 300B read\nRequests/sec:  42000.50\nTransfer/sec: 1MB\n";
        assert_eq!(rate(text), Some(42000.5));
        assert_eq!(rate(&format!("{text}  Non-2xx or 3xx responses: 1\n")), None);
        assert_eq!(rate(&format!("{text}  Socket errors: connect 0, read 1\n")), None);
        assert_eq!(rate("unable to connect"), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
