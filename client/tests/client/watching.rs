//! Following changes.

use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use larder_client::reply::{Change, Event, EventKind};
use larder_client::request::{Ping, Watch};
use larder_client::{Client, Code, Connection, Error, Options};

use super::kept::{self, with_each};
use super::peer::Step::{self, Await, Greet, Hear, Say, Stammer};
use super::peer::{Peer, follow};
use super::shell::{both, options};

fn change(kind: EventKind, version: u64, expires_ms: Option<u64>, json: Option<&str>) -> Event {
    let (namespace, key, json) = ("a b".to_owned(), "k".to_owned(), json.map(str::to_owned));
    Event::Change(Change { kind, version, namespace, key, expires_ms, json })
}

const EVENTS: &str = "EVT set 5 \"a b\" k - {\"x\":1}\nEVT expire 7 \"a b\" k 9\nEVT del 8 \"a b\" k -\n";

fn events() -> Vec<Event> {
    vec![
        change(EventKind::Set, 5, None, Some("{\"x\":1}")),
        change(EventKind::Expire, 7, Some(9), None),
        change(EventKind::Del, 8, None, None),
    ]
}

#[test]
fn events_come_until_the_server_cuts() {
    let script = [
        Hear("WATCH prefix=k values=1 from=4 ns=n\n"),
        Say("OK 4\n"),
        Stammer(EVENTS),
        Say("EVT progress 11\nERR SLOW 11\n"),
    ];
    both(&script, |shell| {
        let watch = Watch::prefix("k").values().from(4).in_namespace("n");
        let (seen, version, error) = shell.watch(watch).unwrap();
        let mut expected = events();
        expected.push(Event::Progress { version: 11 });
        assert_eq!((seen, version), (expected, 11));
        assert_eq!((error.code(), error.to_string().as_str()), (Some(Code::Slow), "11 (SLOW)"));
        assert!(matches!(shell.call(&Ping), Err(Error::Poisoned)));
    });
}

#[test]
fn what_cannot_be_begun_leaves_the_connection_usable() {
    let script =
        [Hear("WATCH all=1 from=3\n"), Say("ERR COMPACTED 7 is the lowest\n"), Hear("PING\n"), Say("OK\n")];
    both(&script, |shell| {
        let error = shell.watch(Watch::all().in_all_namespaces().from(3)).unwrap_err();
        assert_eq!(error.code(), Some(Code::Compacted));
        shell.call(&Ping).unwrap();
    });
}

#[test]
fn a_watch_that_ends_is_the_end_of_the_connection() {
    for (end, is_kind) in [
        ("ERR FAILED text\n", (|error| error.code() == Some(Code::Failed)) as fn(&Error) -> bool),
        ("OK\n", |error| matches!(error, Error::Protocol(_))),
        ("EVT set 1\n", |error| matches!(error, Error::Protocol(_))),
        ("EVT progress 6", |error| matches!(error, Error::Closed)),
    ] {
        both(&[Hear("WATCH\n"), Say("OK 4\nEVT progress 5\n"), Say(end)], |shell| {
            let (seen, version, error) = shell.watch(Watch::all()).unwrap();
            assert_eq!((seen, version), (vec![Event::Progress { version: 5 }], 5));
            assert!(is_kind(&error), "{end:?}: {error:?}");
            assert!(matches!(shell.call(&Ping), Err(Error::Poisoned)));
        });
    }
}

/// Whoever stops waiting for an event, as in a `select!`, gets it the next time.
#[test]
fn an_event_that_nobody_waited_for_is_not_lost() {
    // Each byte comes only once nobody waits any more.
    let (give_up, given_up) = std::sync::mpsc::channel::<()>();
    let peer = Peer::acting(move |stream| {
        follow(&Hear("WATCH\n"), stream);
        follow(&Say("OK 4\n"), stream);
        for byte in EVENTS.bytes() {
            given_up.recv().unwrap();
            stream.write_all(&[byte]).unwrap();
        }
        follow(&Await, stream);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = Connection::connect_with(peer.addr, &options()).await.unwrap();
        let mut watcher = connection.watch(Watch::all()).await.unwrap();
        assert_eq!(watcher.version(), 4);
        let mut seen = Vec::new();
        while seen.len() < 3 {
            tokio::select! {
                biased;
                event = watcher.next() => seen.push(event.unwrap().unwrap()),
                // After the last byte nobody is there to hear of it.
                () = tokio::task::yield_now() => drop(give_up.send(())),
            }
        }
        assert_eq!((seen, watcher.version()), (events(), 8));
    });
    drop(runtime);
    peer.finish();
}

#[test]
fn a_watch_goes_on_where_it_was_until_the_log_does_not_go_back_so_far() {
    let scripts: &[&[Step]] = &[
        // Nothing was told yet: what was named as the beginning is what it goes on from.
        &[Greet, Hear("WATCH prefix=k values=1 ns=n\n"), Say("OK 4\n")],
        &[
            Greet,
            Hear("WATCH prefix=k values=1 from=4 ns=n\n"),
            Say("OK 4\n"),
            Stammer(EVENTS),
            Say("EVT set 9 \"a"),
        ],
        &[Greet, Hear("WATCH prefix=k values=1 from=8 ns=n\n"), Say("OK 8\nEVT progress 11\nERR SLOW 11\n")],
        &[Hear("HELLO\n"), Say("ERR TOOMANYCONN all taken\n")],
        &[Greet, Hear("WATCH prefix=k values=1 from=11 ns=n\n"), Say("ERR SHUTDOWN going down\n")],
        &[Greet, Hear("WATCH prefix=k values=1 from=11 ns=n\n"), Say("ERR COMPACTED 20 is the lowest\n")],
    ];
    with_each(&kept::options(), scripts, |client| {
        let (seen, version, error) = client.watch(Watch::prefix("k").values().in_namespace("n")).unwrap();
        let mut expected = events();
        expected.push(Event::Progress { version: 11 });
        assert_eq!((seen, version), (expected, 11));
        assert!(matches!(error, Error::Compacted { floor: 20, .. }), "{error:?}");
    });
}

#[test]
fn what_another_server_would_not_answer_ends_a_watch() {
    for (end, code) in
        [("ERR FAILED the store has stopped\n", Code::Failed), ("ERR DAMAGED rotten\n", Code::Damaged)]
    {
        let scripts: &[&[Step]] = &[&[Greet, Hear("WATCH\n"), Say("OK 4\nEVT progress 5\n"), Say(end)]];
        with_each(&kept::options(), scripts, |client| {
            let (seen, version, error) = client.watch(Watch::all()).unwrap();
            assert_eq!((seen, version, error.code()), (vec![Event::Progress { version: 5 }], 5, Some(code)));
        });
    }
    let scripts: &[&[Step]] = &[&[Greet, Hear("WATCH from=3\n"), Say("ERR COMPACTED 7 is the lowest\n")]];
    with_each(&kept::options(), scripts, |client| {
        assert!(matches!(client.watch(Watch::all().from(3)), Err(Error::Compacted { floor: 7, .. })));
    });
}

/// A server that is there tells of progress; one that is silent for longer than a reply may take is not there.
#[test]
fn a_watch_leaves_a_server_that_is_silent() {
    let options = Options { reply_timeout: Some(Duration::from_secs(1)), ..kept::options() };
    let scripts: &[&[Step]] = &[
        &[Greet, Hear("WATCH\n"), Say("OK 4\n"), Await],
        &[Greet, Hear("WATCH from=4\n"), Say("OK 4\nEVT progress 6\nERR FAILED the store has stopped\n")],
    ];
    with_each(&options, scripts, |client| {
        assert_eq!(client.watch(Watch::all()).unwrap().0, [Event::Progress { version: 6 }]);
    });
}

/// Whoever stops waiting for an event gets it the next time, over connections too; and a watch is a stream.
#[test]
fn a_stream_of_events_loses_none_to_impatience() {
    let scripts = vec![
        vec![Greet, Hear("WATCH\n"), Say("OK 4\n"), Stammer("EVT set 5 \"a b\" k - {\"x\":1}\nEVT ex")],
        vec![
            Greet,
            Hear("WATCH from=5\n"),
            Say("OK 5\n"),
            Stammer("EVT expire 7 \"a b\" k 9\nEVT del 8 \"a b\" k -\n"),
            Await,
        ],
    ];
    let peer = Peer::serving(scripts);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::lazy(peer.addr, &kept::options());
        let mut watcher = client.watch(Watch::all()).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let event = poll_fn(|context| Pin::new(&mut watcher).poll_next(context));
            tokio::select! {
                biased;
                event = event => seen.push(event.unwrap().unwrap()),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!((seen, watcher.version()), (events(), 8));
    });
    drop(runtime);
    peer.finish();
}
