//! What a client does beside sending things again: how it begins, what it waits for, and what it offers on top.

use std::time::Duration;

use larder_client::reply::{Commit, Patched, Typed};
use larder_client::request::{Count, Get, List, Ping, Set, Transaction};
use larder_client::{Client, Code, Error, Options, blocking};

use super::faults::nobody;
use super::kept::{Kept, options, with_each};
use super::peer::Peer;
use super::peer::Step::{self, Await, Greet, Hear, Say};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn the_token_is_said_at_the_beginning_of_every_connection() {
    const HELLO: Step = Hear("HELLO token=t0k3n name=worker\n");
    const WELCOME: Step = Say(
        "OK {\"server\":\"larder\",\"version\":\"0\",\"protocol\":1,\"durability\":\"durable\",\"limits\":{}}\n",
    );
    let scripts: &[&[Step]] = &[
        &[HELLO, WELCOME, Hear("PING\n")],
        &[HELLO, WELCOME, Hear("PING\n"), Say("OK\n")],
        // A watch has a connection of its own, and makes it anew.
        &[HELLO, WELCOME, Hear("WATCH\n"), Say("OK 4\n")],
        &[HELLO, WELCOME, Hear("WATCH from=4\n"), Say("ERR DENIED revoked\n")],
    ];
    let options = Options { token: Some("t0k3n".into()), name: Some("worker".into()), ..options() };
    assert!(!format!("{options:?}").contains("t0k3n"));
    with_each(&options, scripts, |client| {
        client.call(&Ping).unwrap();
        let (events, version, error) = client.watch(larder_client::request::Watch::all()).unwrap();
        assert_eq!((events.len(), version, error.code()), (0, 4, Some(Code::Denied)));
    });
}

#[test]
fn a_token_that_is_refused_is_told_at_once_and_tried_again_with_the_next_request() {
    let refused: &[Step] = &[Hear("HELLO\n"), Say("ERR NOAUTH a token is needed\n")];
    let scripts: &[&[Step]] = &[refused, refused, &[Greet, Hear("SET k 1\n"), Say("OK 1 -\n")]];
    with_each(&options(), scripts, |client| {
        for error in [client.call(&Ping).unwrap_err(), client.call(&Set::new("k", "1")).unwrap_err()] {
            assert_eq!(error.code(), Some(Code::NoAuth));
            assert!(!error.may_have_happened() && !error.is_retryable(), "{error:?}");
        }
        assert_eq!(client.call(&Set::new("k", "1")).unwrap().done().unwrap().version, 1);
    });
}

#[test]
fn connecting_finds_out_what_is_wrong() {
    let script =
        vec![vec![Hear("HELLO\n"), Say("+OK redis\n")], vec![Hear("HELLO\n"), Say("ERR NOAUTH x\n")]];
    let peer = Peer::serving([script.clone(), script].concat());
    let (addr, runtime) = (peer.addr, runtime());
    assert!(matches!(blocking::Client::connect(addr), Err(Error::Protocol(_))));
    assert_eq!(blocking::Client::connect(addr).unwrap_err().code(), Some(Code::NoAuth));
    assert!(matches!(runtime.block_on(Client::connect(addr)), Err(Error::Protocol(_))));
    assert_eq!(runtime.block_on(Client::connect(addr)).unwrap_err().code(), Some(Code::NoAuth));
    peer.finish();
    let (_bound, nobody) = nobody();
    let error = blocking::Client::connect(nobody).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.is_retryable(), "{error:?}");
    let error = runtime.block_on(Client::connect("no port")).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && !error.is_retryable(), "{error:?}");
}

#[test]
fn where_nobody_is_a_request_is_tried_for_a_while() {
    let options = Options { retry_for: Duration::from_millis(50), ..options() };
    for connect in [Kept::blocking, Kept::tokio] {
        let (_bound, nobody) = nobody();
        let client = connect(nobody, &options);
        let mut replies = client.pipeline(&vec![Set::new("k", "1"); 3_000]);
        assert_eq!(replies.len(), 3_000);
        for reply in replies.drain(..) {
            let error = reply.unwrap_err();
            assert!(matches!(error, Error::Connect { .. }), "{error:?}");
            assert!(error.is_retryable() && !error.may_have_happened());
        }
    }
}

#[test]
fn a_server_that_is_silent_is_left_for_another_connection() {
    let options = Options { reply_timeout: Some(Duration::from_secs(1)), ..options() };
    let scripts: &[&[Step]] = &[&[Greet, Hear("GET a\n"), Await], &[Greet, Hear("GET a\n"), Say("NIL\n")]];
    with_each(&options, scripts, |client| assert_eq!(client.call(&Get::new("a")).unwrap(), None));
    let scripts: &[&[Step]] = &[&[Greet, Hear("SET a 1\n"), Await]];
    with_each(&options, scripts, |client| {
        let error = client.call(&Set::new("a", "1")).unwrap_err();
        assert!(
            matches!(&error, Error::InDoubt { cause } if matches!(**cause, Error::Timeout(_))),
            "{error:?}"
        );
    });
}

#[test]
fn a_request_has_only_so_much_time() {
    let options = Options { reply_timeout: None, request_timeout: Some(Duration::from_secs(1)), ..options() };
    with_each(&options, &[&[Greet, Hear("SET a 1\n"), Await]], |client| {
        let error = client.call(&Set::new("a", "1")).unwrap_err();
        assert!(
            matches!(&error, Error::InDoubt { cause } if matches!(**cause, Error::Timeout(_))),
            "{error:?}"
        );
    });
    with_each(&options, &[&[Greet, Hear("GET a\n"), Await]], |client| {
        assert!(matches!(client.call(&Get::new("a")), Err(Error::Timeout(_))));
    });
    // A server that takes a connection and says nothing has not been sent anything.
    let options = Options { connect_timeout: None, ..options };
    with_each(&options, &[&[Hear("HELLO\n"), Await]], |client| {
        let error = client.call(&Set::new("a", "1")).unwrap_err();
        assert!(!error.may_have_happened(), "{error:?}");
    });
}

/// The reply to a request that was given up belongs to that request.
#[test]
fn a_reply_that_nobody_waits_for_any_more_is_passed_over() {
    let options = Options { reply_timeout: None, request_timeout: Some(Duration::from_secs(1)), ..options() };
    let script = [Greet, Hear("GET a\nGET b\n"), Say("VAL 1 - 1\nVAL 2 - 2\n")];
    let peer = Peer::following(script.to_vec());
    runtime().block_on(async {
        let client = Client::connect_with(peer.addr, &options).await.unwrap();
        assert!(matches!(client.get("a").await, Err(Error::Timeout(_))));
        assert_eq!(client.get("b").await.unwrap().unwrap().version, 2);
    });
    peer.finish();
}

#[test]
fn many_tasks_share_a_connection() {
    const TASKS: usize = 200;
    let peer = Peer::acting(|stream| {
        use std::io::{BufRead, BufReader, Write};
        super::peer::follow(&Greet, stream);
        let mut writer = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines().take(TASKS * 10) {
            let key = line.unwrap().strip_prefix("GET ").unwrap().to_owned();
            writer.write_all(format!("VAL 1 - \"{key}\"\n").as_bytes()).unwrap();
        }
    });
    runtime().block_on(async {
        let client = Client::connect_with(peer.addr, &options()).await.unwrap();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let client = client.clone();
                tokio::spawn(async move {
                    for round in 0..10 {
                        let key = format!("{task}-{round}");
                        let value = client.get(&key).await.unwrap().unwrap();
                        assert_eq!(value.json, format!("\"{key}\""));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    peer.finish();
}

#[test]
fn what_is_under_way_has_a_bound() {
    // Room for two.
    let options =
        Options { queue_bytes_max: 600, request_timeout: Some(Duration::from_secs(1)), ..options() };
    let peer = Peer::following(vec![Greet, Hear("GET a\nGET b\n"), Await]);
    let runtime = runtime();
    runtime.block_on(async {
        let client = Client::connect_with(peer.addr, &options).await.unwrap();
        let (a, b, c) = tokio::join!(client.get("a"), client.get("b"), client.get("c"));
        assert!(matches!(a, Err(Error::Timeout(_))) && matches!(b, Err(Error::Timeout(_))));
        assert!(matches!(c, Err(Error::NotSent { .. })), "{c:?}");
    });
    drop(runtime);
    peer.finish();
}

#[test]
fn threads_share_the_connections_of_a_blocking_client() {
    let script = || vec![Greet, Hear("PING\n"), Say("OK\n"), Await];
    let peer = Peer::serving(vec![script()]);
    let options = Options { request_timeout: Some(Duration::from_secs(1)), ..options() };
    let client = blocking::Client::connect_with(peer.addr, &options).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| client.clone().ping());
        first.join().unwrap().unwrap();
        // The one connection is taken by a request without an answer.
        let second = scope.spawn(|| client.call(&Get::new("a")));
        let third = scope.spawn(|| client.call(&Get::new("b")));
        let mut errors = [second.join().unwrap().unwrap_err(), third.join().unwrap().unwrap_err()];
        errors.sort_by_key(|error| matches!(error, Error::NotSent { .. }));
        assert!(matches!(errors[0], Error::Timeout(_)), "{errors:?}");
    });
    drop(client);
    peer.finish();
}

#[test]
fn what_cannot_be_written_is_told_in_its_place() {
    let scripts: &[&[Step]] = &[&[Greet, Hear("SET a 1\nSET c 3\n"), Say("OK 1 -\nOK 2 -\n")]];
    with_each(&options(), scripts, |client| {
        let replies = client.pipeline(&[Set::new("a", "1"), Set::new("b", "no JSON"), Set::new("c", "3")]);
        assert!(replies[0].is_ok() && replies[2].is_ok());
        assert!(matches!(replies[1], Err(Error::Request(_))));
        assert!(client.pipeline::<Get<'_>>(&[]).is_empty());
    });
}

#[test]
fn a_walk_goes_over_all_pages_and_over_failures() {
    let scripts: &[&[Step]] = &[
        &[
            Greet,
            Hear("LIST prefix=u limit=2\n"),
            Say("ITEM u1 1 -\nITEM u2 2 -\nEND 2 next=dTI\n"),
            Hear("LIST prefix=u limit=2 cursor=dTI\n"),
            Say("ITEM u3 3 -\n"),
        ],
        &[
            Greet,
            Hear("LIST prefix=u limit=2 cursor=dTI\n"),
            Say("END 0 next=dTM\n"),
            Hear("LIST prefix=u limit=2 cursor=dTM\n"),
            Say("ITEM u4 4 -\nEND 1\n"),
        ],
    ];
    with_each(&options(), scripts, |client| {
        let items = client.items(List::prefix("u").limit(2)).unwrap();
        assert_eq!(items.iter().map(|item| item.version).collect::<Vec<_>>(), [1, 2, 4]);
    });
    let scripts: &[&[Step]] = &[&[Greet, Hear("LIST\n"), Say("ITEM a 1 -\nERR DAMAGED rotten\n")]];
    with_each(&options(), scripts, |client| {
        assert_eq!(client.items(List::all()).unwrap_err().code(), Some(Code::Damaged));
    });
}

#[test]
fn a_handle_has_its_namespace_and_no_connection_of_its_own() {
    let script = [Greet, Hear("SET k ns=n 1\nCOUNT ns=m\nCOUNT\n"), Say("OK 1 -\nOK 2\nOK 3\n")];
    let peer = Peer::following(script.to_vec());
    runtime().block_on(async {
        let client = Client::connect_with(peer.addr, &options()).await.unwrap();
        let (n, m, set, all) =
            (client.namespace("n"), client.namespace("m"), Set::new("k", "1"), Count::all());
        let (set, other, all) = tokio::join!(n.call(&set), m.call(&all), client.call(&all));
        assert_eq!((set.unwrap().done().unwrap().version, other.unwrap(), all.unwrap()), (1, 2, 3));
    });
    peer.finish();

    let script = [Greet, Hear("SET k ns=n 1\n"), Say("OK 1 -\n"), Hear("COUNT\n"), Say("OK 3\n")];
    let peer = Peer::following(script.to_vec());
    let client = blocking::Client::connect_with(peer.addr, &options()).unwrap();
    assert_eq!(client.namespace("n").set("k", "1").unwrap().done().unwrap().version, 1);
    assert_eq!(client.count("").unwrap(), 3);
    drop(client);
    peer.finish();
}

#[test]
fn values_are_of_types_of_the_application() {
    let script = [
        Greet,
        Hear("SET k [1,2]\n"),
        Say("OK 1 -\n"),
        Hear("GET k\n"),
        Say("VAL 1 9 [1,2]\n"),
        Hear("GET k\n"),
        Say("VAL 1 9 \"text\"\n"),
    ];
    let peer = Peer::serving(vec![script.to_vec(), script.to_vec()]);
    let client = blocking::Client::connect_with(peer.addr, &options()).unwrap();
    let _ = client.set_as("k", &[1, 2]).unwrap();
    let typed = client.get_as::<Vec<u8>>("k").unwrap();
    assert_eq!(typed, Some(Typed { value: vec![1, 2], version: 1, expires_ms: Some(9) }));
    assert!(matches!(client.get_as::<Vec<u8>>("k"), Err(Error::Decode(_))));
    drop(client);
    runtime().block_on(async {
        let client = Client::connect_with(peer.addr, &options()).await.unwrap();
        let _ = client.set_as("k", &[1, 2]).await.unwrap();
        assert_eq!(client.get_as::<(u8, u8)>("k").await.unwrap().unwrap().value, (1, 2));
        assert!(matches!(client.get_as::<u8>("k").await, Err(Error::Decode(_))));
    });
    peer.finish();
    let no_json = std::collections::BTreeMap::from([(vec![1], 2)]);
    assert!(matches!(larder_client::to_json(&no_json), Err(Error::Encode(_))));
}

#[test]
fn the_everyday_methods_send_what_they_say() {
    let compacted = r#"{"segments_in":2,"bytes_in":90,"segments_out":1,"bytes_out":40,"damaged":0}"#;
    let answer: &'static str = format!("OK {compacted}\n").leak();
    let script = [
        Greet,
        Hear("INCR k by=5\n"),
        Say("VAL 1 - 5\n"),
        Hear("PATCH k {}\n"),
        Say("NIL\n"),
        Hear("DELPREFIX \"\"\n"),
        Say("OK 0\n"),
        Hear("TXN {}\n"),
        Say("OK 0\n"),
        Hear("COMPACT\n"),
        Say(answer),
    ];
    with_each(&options(), &[&script], |client| {
        let transaction = Transaction::new();
        let (number, patched, deleted, commit, compaction) = match client {
            Kept::Blocking(client) => (
                client.incr("k", 5).unwrap(),
                client.patch("k", "{}").unwrap(),
                client.del_prefix("").unwrap(),
                client.transact(&transaction).unwrap(),
                client.compact().unwrap(),
            ),
            Kept::Async(runtime, client) => runtime.block_on(async {
                (
                    client.incr("k", 5).await.unwrap(),
                    client.patch("k", "{}").await.unwrap(),
                    client.del_prefix("").await.unwrap(),
                    client.transact(&transaction).await.unwrap(),
                    client.compact().await.unwrap(),
                )
            }),
        };
        assert_eq!((number.number, patched, deleted), (5, Patched::Absent, 0));
        assert_eq!(commit, Commit::Done { version: None });
        assert_eq!((compaction.bytes_in, compaction.bytes_out, compaction.damaged), (90, 40, 0));
        assert_eq!((compaction.segments_in, compaction.segments_out), (2, 1));
        assert_eq!(compaction.json, compacted);
    });
}
