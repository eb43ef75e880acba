//! The client library against a server that is killed and started again in the middle of everything: no write happens twice
//! or is told wrongly, and no watcher misses a change or is told of one twice.
//!
//! The audit is the change feed itself, read over a plain connection when all is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use larder_client::reply::{Change, Event, Outcome, Stamp};
use larder_client::request::{Set, Watch};
use larder_client::{Client, Error, Options, blocking};

use crate::support::{PATIENCE, Server, serve};

const ROUNDS: u64 = 5;
/// Writes of each round that are acknowledged before the server is killed.
const WRITES: u64 = 300;
const TASKS: usize = 8;
const THREADS: usize = 3;
/// Writes that one task has under way together.
const TOGETHER: usize = 5;
/// The last that is written.
const END: &str = "end";

/// What writers were told.
#[derive(Default)]
struct Told(Vec<(String, Fate)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Happened,
    Not,
    InDoubt,
}

/// How things stand, for those who write and the one who kills.
#[derive(Default)]
struct Course {
    acknowledged: AtomicU64,
    over: AtomicBool,
}

fn start(directory: &Path, listen: &str) -> Server {
    let mut command = serve();
    command.arg("--data").arg(directory).args(["--listen", listen, "--log=error"]);
    // All of the log is kept for the audit.
    Server::spawn(command.arg("--feed-retention=1073741824"))
}

fn options() -> Options {
    Options {
        connections: 3,
        request_timeout: Some(PATIENCE),
        reply_timeout: Some(PATIENCE),
        retry_for: PATIENCE,
        ..Options::default()
    }
}

impl Course {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// What became of a write, as its writer was told.
    fn fate(&self, reply: &Result<Outcome<Stamp>, Error>) -> Fate {
        match reply {
            Ok(Outcome::Done(_)) => {
                self.acknowledged.fetch_add(1, Ordering::AcqRel);
                Fate::Happened
            }
            Ok(Outcome::Refused(_)) => Fate::Not,
            Err(error) if error.may_have_happened() => {
                assert!(error.is_retryable() || matches!(error, Error::InDoubt { .. }), "{error:?}");
                Fate::InDoubt
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Writes every value once: without a condition under keys of its own, and under a version to a key that is written again
/// and again.
async fn write(client: Client, course: Arc<Course>, task: usize) -> Told {
    let mut told = Told::default();
    let chain = format!("chain-{task}");
    let mut version = None;
    for round in 0.. {
        if course.is_over() {
            break;
        }
        let keys: Vec<_> = (0..TOGETHER).map(|number| format!("once-{task}-{round}-{number}")).collect();
        let sets: Vec<_> = keys.iter().map(|key| Set::new(key, "1")).collect();
        for (key, reply) in keys.iter().zip(client.pipeline(&sets).await) {
            told.0.push((format!("{key}=1"), course.fate(&reply)));
        }
        let value = round.to_string();
        let set = Set::new(&chain, &value);
        let reply = client.call(&version.map_or(set.if_absent(), |version| set.if_version(version))).await;
        told.0.push((format!("{chain}={value}"), course.fate(&reply)));
        version = client.get(&chain).await.unwrap().map(|found| found.version);
    }
    told
}

/// As [`write`], by the blocking client.
fn write_blocking(client: &blocking::Client, course: &Course, thread: usize) -> Told {
    let mut told = Told::default();
    let chain = format!("blocking-chain-{thread}");
    let mut version = None;
    for round in 0.. {
        if course.is_over() {
            break;
        }
        let keys: Vec<_> =
            (0..TOGETHER).map(|number| format!("blocking-{thread}-{round}-{number}")).collect();
        let sets: Vec<_> = keys.iter().map(|key| Set::new(key, "1")).collect();
        for (key, reply) in keys.iter().zip(client.pipeline(&sets)) {
            told.0.push((format!("{key}=1"), course.fate(&reply)));
        }
        let value = round.to_string();
        let set = Set::new(&chain, &value);
        let reply = client.call(&version.map_or(set.if_absent(), |version| set.if_version(version)));
        told.0.push((format!("{chain}={value}"), course.fate(&reply)));
        version = client.get(&chain).unwrap().map(|found| found.version);
    }
    told
}

async fn follow(client: Client) -> Vec<Change> {
    let mut watcher = client.watch(Watch::all().from(0).values()).await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|change: &Change| change.key != END) {
        if let Event::Change(change) = watcher.next().await.unwrap().unwrap() {
            assert_eq!(watcher.version(), change.version);
            seen.push(change);
        }
    }
    seen
}

fn follow_blocking(client: &blocking::Client) -> Vec<Change> {
    let mut watcher = client.watch(Watch::all().from(0).values()).unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|change: &Change| change.key != END) {
        if let Event::Change(change) = watcher.next().unwrap().unwrap() {
            assert_eq!(watcher.version(), change.version);
            seen.push(change);
        }
    }
    seen
}

/// Kills the server in the middle of writes and starts it again, some times over; then has all writers end.
fn kill_and_restart(mut server: Server, directory: &Path, course: &Course) -> Server {
    let address = server.address.to_string();
    for round in 1..=ROUNDS {
        let start_of_round = Instant::now();
        while course.acknowledged.load(Ordering::Acquire) < round * WRITES {
            assert!(start_of_round.elapsed() < PATIENCE, "the writers are stuck in round {round}");
            thread::yield_now();
        }
        server.kill();
        server = start(directory, &address);
    }
    course.over.store(true, Ordering::Release);
    server
}

/// The whole feed over a plain connection: version, and `key=value`.
fn feed(address: SocketAddr) -> Vec<(u64, String)> {
    let mut client = crate::support::Client::connect(address);
    assert_eq!(client.ask("WATCH from=0 values=1"), "OK 0");
    let mut events = Vec::new();
    loop {
        let line = client.reply();
        let words: Vec<_> = line.split(' ').collect();
        let ["EVT", "set", version, "default", key, "-", value] = words[..] else { panic!("{line}") };
        events.push((version.parse().unwrap(), format!("{key}={value}")));
        if key == END {
            return events;
        }
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_writes() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), "127.0.0.1:0");
    let address = server.address;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let client = runtime.block_on(Client::connect_with(address, &options())).unwrap();
    let blocking = blocking::Client::connect_with(address, &options()).unwrap();
    let course = Arc::new(Course::default());

    let (server, told, watched) = thread::scope(|scope| {
        let watcher = runtime.spawn(follow(client.clone()));
        let blocking_watcher = scope.spawn(|| follow_blocking(&blocking));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (blocking, course) = (blocking.clone(), course.clone());
                scope.spawn(move || write_blocking(&blocking, &course, thread))
            })
            .collect();
        let killer = scope.spawn(|| kill_and_restart(server, directory.path(), &course));
        let mut told = Vec::new();
        let tasks: Vec<_> =
            (0..TASKS).map(|task| runtime.spawn(write(client.clone(), course.clone(), task))).collect();
        for task in tasks {
            told.extend(runtime.block_on(task).unwrap().0);
        }
        told.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap().0));
        let server = killer.join().unwrap();
        let _ = blocking.set(END, "true").unwrap();
        (server, told, [runtime.block_on(watcher).unwrap(), blocking_watcher.join().unwrap()])
    });

    let feed = feed(address);
    assert!(feed.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for seen in watched {
        let seen: Vec<_> = seen
            .into_iter()
            .map(|change| (change.version, format!("{}={}", change.key, change.json.unwrap())))
            .collect();
        assert!(seen == feed, "a watcher was told something else than what happened");
    }
    let mut times = BTreeMap::<&str, u64>::new();
    for (_, write) in &feed {
        *times.entry(write).or_default() += 1;
    }
    let mut doubts = [0; 2];
    for (write, fate) in &told {
        let happened = times.remove(write.as_str()).unwrap_or_default();
        match fate {
            Fate::Happened => assert_eq!(happened, 1, "{write} was acknowledged"),
            Fate::Not => assert_eq!(happened, 0, "{write} was refused"),
            Fate::InDoubt => {
                assert!(happened <= 1, "{write} was in doubt, and happened {happened} times");
                doubts[usize::try_from(happened).unwrap()] += 1;
            }
        }
    }
    assert_eq!(times.into_keys().collect::<Vec<_>>(), ["end=true"], "nobody asked for these");
    println!("{} writes; in doubt {doubts:?}: did not happen, happened", told.len());
    drop((client, blocking));
    assert!(server.stop().success());
}
