//! What a client is told when the disk fails: tests in the process, on a simulated disk.

use std::sync::Arc;
use std::time::Duration;

use larder_engine::disk::sim::{Fault, OpKind, SimDisk};
use larder_engine::log::manifest::{MANIFEST_FILE, Manifest};
use larder_engine::{Durability, Options};
use larder_protocol::Limits;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::access::Registry;
use crate::backup::Backups;
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
        let shared = Arc::new(Shared::new(Parts {
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
        }));
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
