//! What a client is told when the disk fails: tests in the process, on a simulated disk.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_engine::disk::sim::{Fault, OpKind, SimDisk};
use larder_engine::log::manifest::{MANIFEST_FILE, Manifest};
use larder_engine::{Address, Clock, Durability, Error, Options, Put, Store, Tenant};
use larder_protocol::Limits;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::access::{Denial, NewKey, Registry, Scope};
use crate::backup::Backups;
use crate::command::{Unswept, sweep};
use crate::shared::{Parts, Shared};
use crate::terms::Terms;
use crate::watchers::Watchers;

/// A client of a server of one connection.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn of_server_on(disk: &SimDisk) -> Client {
        let store = Options::new().segment_bytes(1 << 20).open_on(Arc::new(disk.clone())).unwrap();
        while open_segments(disk) < 2 {
            // The store prepares its next segment on a thread of its own; a fault is not meant for that.
            tokio::task::yield_now().await;
        }
        let shared = shared(store);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(super::serve(stream, shared, CancellationToken::new()));
        Client(BufReader::new(client))
    }

    /// Sends requests at once, and takes as many lines for the replies.
    async fn ask(&mut self, requests: &[&str]) -> Vec<String> {
        let pipeline: String = requests.iter().map(|request| format!("{request}\n")).collect();
        self.0.get_mut().write_all(pipeline.as_bytes()).await.unwrap();
        self.lines(requests.len()).await
    }

    async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut replies = Vec::new();
        for _ in 0..count {
            let mut reply = String::new();
            self.0.read_line(&mut reply).await.unwrap();
            replies.push(reply.trim_end().to_owned());
        }
        replies
    }
}

/// A server on a store.
fn shared(store: Store) -> Arc<Shared> {
    Arc::new(Shared::new(Parts {
        registry: Arc::new(Registry::open(store.clone()).unwrap()),
        store,
        limits: Limits::DEFAULT,
        durability: Durability::Durable,
        backups: Backups::new(None),
        watchers: Watchers::new(0),
        auth_timeout: Duration::from_secs(10),
        allow_remote: false,
        metrics_public: false,
        terms: Terms::new(1),
    }))
}

/// How many segments the manifest names as open.
fn open_segments(disk: &SimDisk) -> usize {
    disk.read_file(MANIFEST_FILE)
        .and_then(|bytes| Manifest::decode(&bytes).ok())
        .map_or(0, |it| it.open.len())
}

/// The replies, errors without their texts.
fn codes(replies: &[String]) -> Vec<String> {
    let code = |reply: &String| match reply.strip_prefix("ERR ") {
        Some(error) => error.split(' ').next().unwrap_or_default().to_owned(),
        None => reply.clone(),
    };
    replies.iter().map(code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_leaves_writes_in_doubt_and_reads_at_what_was_acknowledged() {
    let disk = SimDisk::new(1);
    let mut client = Client::of_server_on(&disk).await;
    assert_eq!(client.ask(&["SET a 1", "NS n", "NS default"]).await, ["OK 1 -", "OK n", "OK default"]);

    disk.fail_next(OpKind::Sync, Fault::Eio);
    let turn = ["SET a 2", "GET a", "NS m", "SET b 1", "NS default", "nonsense", "MGET a", "DEL a if=99"];
    let replies = client.ask(&turn).await;
    let expected =
        ["INDOUBT", "VAL 1 - 1", "OK m", "INDOUBT", "OK default", "BADCMD", "VAL 1 - 1", "INDOUBT"];
    assert_eq!(codes(&replies), expected);

    let replies = client.ask(&["SET a 3", "GET a", "SYNC", "COUNT", "PING"]).await;
    assert_eq!(codes(&replies), ["FAILED", "VAL 1 - 1", "FAILED", "OK 1", "OK"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_leaves_changes_in_doubt_and_what_was_acknowledged_to_be_read() {
    let disk = SimDisk::new(4);
    let mut client = Client::of_server_on(&disk).await;
    assert_eq!(client.ask(&["INCR a", "SET b {}"]).await, ["VAL 1 - 1", "OK 2 -"]);
    disk.fail_next(OpKind::Sync, Fault::Eio);
    let turn =
        ["INCR a", "PATCH b {\"x\":1}", "TXN {\"ops\":[[\"set\",\"c\",1]]}", "GET b", "DELPREFIX \"\" dry=1"];
    let replies = client.ask(&turn).await;
    assert_eq!(codes(&replies), ["INDOUBT", "INDOUBT", "INDOUBT", "VAL 2 - {}", "OK 2"]);

    let turn = ["INCR a", "PATCH b {}", "TXN {}", "DELPREFIX a", "GET a", "DELPREFIX a dry=1"];
    let replies = client.ask(&turn).await;
    assert_eq!(codes(&replies), ["FAILED", "FAILED", "FAILED", "FAILED", "VAL 1 - 1", "OK 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_whose_deletes_are_not_synced_is_in_doubt() {
    let disk = SimDisk::new(5);
    let mut client = Client::of_server_on(&disk).await;
    assert_eq!(client.ask(&["SET a 1", "SET b 2"]).await, ["OK 1 -", "OK 2 -"]);
    disk.fail_next(OpKind::Sync, Fault::Eio);
    assert_eq!(codes(&client.ask(&["DELPREFIX a", "GET a"]).await), ["INDOUBT", "VAL 1 - 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_gets_what_was_durable_and_then_the_failure() {
    let disk = SimDisk::new(3);
    let mut client = Client::of_server_on(&disk).await;
    assert_eq!(client.ask(&["SET a 1", "SET b 2"]).await, ["OK 1 -", "OK 2 -"]);
    disk.fail_next(OpKind::Sync, Fault::Eio);
    assert_eq!(codes(&client.ask(&["SET a 3"]).await), ["INDOUBT"]);
    assert_eq!(client.ask(&["WATCH from=0"]).await, ["OK 0"]);
    let events = client.lines(3).await;
    assert_eq!(codes(&events), ["EVT set 1 default a -", "EVT set 2 default b -", "FAILED"]);
    // With that the watch is over, and the connection as before.
    assert_eq!(client.ask(&["GET a", "WATCH from=3"]).await[0], "VAL 1 - 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_writing_resumes() {
    let disk = SimDisk::new(2);
    let mut client = Client::of_server_on(&disk).await;
    assert_eq!(client.ask(&["SET a 1"]).await, ["OK 1 -"]);
    disk.set_capacity(disk.used_bytes());
    let large = format!("SET b \"{}\"", "x".repeat(500_000));
    let mut replies = client.ask(&[&large]).await;
    while replies[0].starts_with("OK ") {
        replies = client.ask(&[&large]).await;
    }
    assert_eq!(codes(&replies), ["NOSPACE"]);
    assert_eq!(client.ask(&["GET a", "EXISTS a b"]).await, ["VAL 1 - 1", "OK 2"]);
    disk.set_capacity(1 << 40);
    while !client.ask(&[&large]).await[0].starts_with("OK ") {}
}

/// A request counts once, also if it has to be answered a second time.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_again_after_a_failure_counts_as_one_request() {
    let disk = SimDisk::new(6);
    let mut client = Client::of_server_on(&disk).await;
    assert_eq!(client.ask(&["SET a 1"]).await, ["OK 1 -"]);
    assert!(client.ask(&["ORG set default rate=4"]).await[0].starts_with("OK {"));
    disk.fail_next(OpKind::Sync, Fault::Eio);
    let replies = client.ask(&["SET a 2", "GET a", "TTL a", "COUNT"]).await;
    assert_eq!(codes(&replies), ["INDOUBT", "VAL 1 - 1", "OK -", "OK 1"]);
}

/// Time that passes when a test says so.
#[derive(Debug)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn boot_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Has a future get as far as it gets in one go.
fn go_on<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Has a future get to its end, with nobody but it at work.
fn end<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    loop {
        if let Poll::Ready(output) = go_on(future.as_mut()) {
            return output;
        }
    }
}

/// Deleting by prefix is broken off between two portions, when the server stops, and when the key is revoked or expires.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_by_prefix_ends_where_it_may_not_go_on() {
    const ENTRIES: u64 = 600;
    const PORTION: u64 = 256;
    let clock = Arc::new(HandClock(AtomicU64::new(1_000_000)));
    let options = Options::new().segment_bytes(1 << 20).clock(Arc::<HandClock>::clone(&clock));
    let shared = shared(options.open_on(Arc::new(SimDisk::new(7))).unwrap());
    let store = &shared.store;
    let keys: Vec<String> = (0..ENTRIES).map(|number| format!("k{number:03}")).collect();
    let fill = || {
        let filled = store.transaction(|batch| {
            for key in &keys {
                _ = batch.put(Address::new(Tenant::DEFAULT, "n", key)?, &Put::new(b"1"))?;
            }
            Ok::<(), Error>(())
        });
        filled.unwrap();
    };
    let left = || store.count(Tenant::DEFAULT, "n", "").unwrap();
    let key = |scope, expires_at| NewKey {
        organization: "default".to_owned(),
        scope,
        namespaces: None,
        name: None,
        expires_at,
    };
    let made = |json: String| {
        let made: serde_json::Value = serde_json::from_str(&json).unwrap();
        ["id", "token"].map(|field| made[field].as_str().unwrap().to_owned())
    };
    let registry = &shared.registry;
    registry.create_key(key(Scope::Admin, None)).unwrap();
    let [revoked, first] = made(registry.create_key(key(Scope::FullAccess, None)).unwrap());
    let [_, second] = made(registry.create_key(key(Scope::FullAccess, Some(1_005_000))).unwrap());
    let stop = CancellationToken::new();

    let mut session = shared.session(false);
    assert!(session.authenticate(&first));
    fill();
    {
        let mut swept = pin!(sweep(&shared, &mut session, &stop, "n", "k"));
        assert!(go_on(swept.as_mut()).is_pending());
        assert_eq!(left(), ENTRIES - PORTION);
        registry.revoke_key(&revoked).unwrap();
        let ended = end(swept);
        assert!(matches!(ended, Err(Unswept::Denied(Denial::NoAuth))), "{ended:?}");
    }
    assert_eq!(left(), ENTRIES - PORTION);

    assert!(session.authenticate(&second));
    fill();
    {
        let mut swept = pin!(sweep(&shared, &mut session, &stop, "n", "k"));
        assert!(go_on(swept.as_mut()).is_pending());
        clock.0.fetch_add(5_000, Ordering::SeqCst);
        let ended = end(swept);
        assert!(matches!(ended, Err(Unswept::Denied(Denial::Expired))), "{ended:?}");
    }
    assert_eq!(left(), ENTRIES - PORTION);

    let [_, third] = made(registry.create_key(key(Scope::FullAccess, None)).unwrap());
    assert!(session.authenticate(&third));
    fill();
    {
        let mut swept = pin!(sweep(&shared, &mut session, &stop, "n", "k"));
        assert!(go_on(swept.as_mut()).is_pending());
        stop.cancel();
        let ended = end(swept);
        assert!(matches!(ended, Err(Unswept::Stopping)), "{ended:?}");
    }
    assert_eq!(left(), ENTRIES - PORTION);
}
