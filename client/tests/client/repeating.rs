//! What is sent again when a connection fails, and what the caller is told. A script is the audit: its peer hears every
//! byte, and nothing else must come.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::channel;
use std::time::Duration;

use larder_client::reply::{Commit, Deletion, Outcome, Refusal};
use larder_client::request::{
    Again, Del, DelPrefix, Get, Incr, Patch, Ping, Repeat, Request, Set, Transaction,
};
use larder_client::{Code, Error, Options};

use super::kept::{Kept, options, with_each};
use super::peer::Step::{self, Await, Greet, Hear, Pour, Say};
use super::peer::{Peer, accept, follow};

/// Afterwards the client is as good as ever.
const PONG: &[Step] = &[Greet, Hear("PING\n"), Say("OK\n")];

fn in_doubt<T: std::fmt::Debug>(reply: Result<T, Error>) -> Error {
    let error = reply.unwrap_err();
    assert!(error.may_have_happened(), "{error:?}");
    match error {
        Error::InDoubt { cause } => *cause,
        error => panic!("{error:?}"),
    }
}

#[test]
fn reads_under_way_are_sent_again() {
    let scripts: &[&[Step]] = &[
        &[Greet, Hear("GET a\nGET b\nGET c\n"), Say("VAL 1 - 1\nVAL 2")],
        &[Greet, Hear("GET b\nGET c\n"), Say("VAL 2 - 2\nERR SHUTDOWN going down\n")],
        &[Greet, Hear("GET c\n"), Say("VAL 3 - 3\n")],
    ];
    with_each(&options(), scripts, |client| {
        let replies = client.pipeline(&[Get::new("a"), Get::new("b"), Get::new("c")]);
        let versions: Vec<_> = replies.into_iter().map(|reply| reply.unwrap().unwrap().version).collect();
        assert_eq!(versions, [1, 2, 3]);
    });
}

#[test]
fn a_write_that_was_sent_is_not_sent_again() {
    type Write<'w> = &'w dyn Fn(&Kept) -> Error;
    let writes: [(Write<'_>, &'static str); 4] = [
        (&|client| in_doubt(client.call(&Set::new("k", "1"))), "SET k 1\n"),
        (&|client| in_doubt(client.call(&Set::new("k", "1").if_absent())), "SET k if=absent 1\n"),
        (&|client| in_doubt(client.call(&Set::new("k", "1").if_present())), "SET k if=present 1\n"),
        (&|client| in_doubt(client.call(&Del::new("k").taking())), "DEL k get=1\n"),
    ];
    for (write, line) in writes {
        with_each(&options(), &[&[Greet, Hear(line)], PONG], |client| {
            assert!(matches!(write(client), Error::Closed));
            client.call(&Ping).unwrap();
        });
        let shutdown: &[Step] = &[Greet, Hear(line), Say("ERR SHUTDOWN going down\n")];
        with_each(&options(), &[shutdown, PONG], |client| {
            assert_eq!(write(client).code(), Some(Code::Shutdown));
            client.call(&Ping).unwrap();
        });
    }
}

#[test]
fn of_a_pipeline_of_writes_those_that_were_answered_are_told_and_the_others_are_in_doubt() {
    let scripts: &[&[Step]] = &[&[Greet, Hear("SET a 1\nSET b 2\nSET c 3\n"), Say("OK 1 -\n")], PONG];
    with_each(&options(), scripts, |client| {
        let mut replies = client.pipeline(&[Set::new("a", "1"), Set::new("b", "2"), Set::new("c", "3")]);
        for reply in replies.drain(1..) {
            assert!(matches!(in_doubt(reply), Error::Closed));
        }
        assert_eq!(replies.pop().unwrap().unwrap().done().unwrap().version, 1);
        client.call(&Ping).unwrap();
    });
}

/// The server never executes a line without its end.
#[test]
fn a_write_that_did_not_go_out_in_full_is_sent_again() {
    const BYTES: usize = 32 * 1024 * 1024;
    let large = format!("\"{}\"", "x".repeat(BYTES));
    for connect in [Kept::blocking, Kept::tokio] {
        let peer = Peer::listening(|listener| {
            let mut first = accept(listener);
            follow(&Greet, &mut first);
            first.read_exact(&mut [0; 1_000]).unwrap();
            drop(first);
            let mut second = accept(listener);
            follow(&Greet, &mut second);
            let mut line = Vec::new();
            BufReader::new(second.try_clone().unwrap()).read_until(b'\n', &mut line).unwrap();
            assert!(line.starts_with(b"SET k \"xxx") && line.len() == BYTES + "SET k \"\"\n".len());
            second.write_all(b"OK 1 -\n").unwrap();
            follow(&Await, &mut second);
        });
        let client = connect(peer.addr, &options());
        assert_eq!(client.call(&Set::new("k", &large)).unwrap().done().unwrap().version, 1);
        drop(client);
        peer.finish();
    }
}

#[test]
fn a_write_under_a_version_is_sent_again_and_what_the_second_try_finds_is_told_as_what_it_is() {
    let set = Set::new("k", "1").if_version(3);
    let sent: &[Step] = &[Greet, Hear("SET k if=3 1\n")];
    with_each(&options(), &[sent, &[Greet, Hear("SET k if=3 1\n"), Say("OK 4 -\n")]], |client| {
        assert_eq!(client.call(&set).unwrap().done().unwrap().version, 4);
    });
    for refusal in ["NO VERSION 4\n", "NO ABSENT\n"] {
        with_each(&options(), &[sent, &[Greet, Hear("SET k if=3 1\n"), Say(refusal)]], |client| {
            let cause = in_doubt(client.call(&set));
            assert!(matches!(&cause, Error::Overtaken { reply } if reply == refusal.trim_end()), "{cause:?}");
        });
    }
    with_each(&options(), &[sent, &[Greet, Hear("SET k if=3 1\n"), Say("ERR QUOTA full\n")]], |client| {
        assert_eq!(in_doubt(client.call(&set)).code(), Some(Code::Quota));
    });
    // What is refused at the first try is refused.
    with_each(&options(), &[&[Greet, Hear("SET k if=3 1\n"), Say("NO VERSION 4\n")]], |client| {
        assert_eq!(client.call(&set).unwrap(), Outcome::Refused(Refusal::Version { version: 4 }));
    });
}

#[test]
fn a_delete_under_a_version_may_have_been_the_first_try_that_did_it() {
    let scripts: &[&[Step]] = &[&[Greet, Hear("DEL k if=3\n")], &[Greet, Hear("DEL k if=3\n"), Say("NIL\n")]];
    with_each(&options(), scripts, |client| {
        let cause = in_doubt(client.call(&Del::new("k").if_version(3)));
        assert!(matches!(&cause, Error::Overtaken { reply } if reply == "NIL"), "{cause:?}");
    });
    let scripts: &[&[Step]] =
        &[&[Greet, Hear("DEL k if=3\n")], &[Greet, Hear("DEL k if=3\n"), Say("OK 4\n")]];
    with_each(&options(), scripts, |client| {
        assert_eq!(client.call(&Del::new("k").if_version(3)).unwrap(), Deletion::Deleted(4));
    });
}

#[test]
fn whoever_does_not_mind_has_a_write_sent_again() {
    let scripts: &[&[Step]] = &[&[Greet, Hear("SET k 1\n")], &[Greet, Hear("SET k 1\n"), Say("OK 4 -\n")]];
    with_each(&options(), scripts, |client| {
        assert_eq!(client.call(&Again(Set::new("k", "1"))).unwrap().done().unwrap().version, 4);
    });
}

#[test]
fn what_the_server_has_not_read_is_sent_again() {
    for refusal in ["ERR IDLE nothing came\n", "ERR TOOMANYCONN all taken\n"] {
        let scripts: &[&[Step]] = &[
            &[Greet, Hear("SET k 1\n"), Say(refusal)],
            &[Hear("HELLO\n"), Say("ERR TOOMANYCONN all taken\n")],
            &[Greet, Hear("SET k 1\n"), Say("OK 4 -\n")],
        ];
        with_each(&options(), scripts, |client| {
            assert_eq!(client.call(&Set::new("k", "1")).unwrap().done().unwrap().version, 4);
        });
    }
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_trusted_with_a_write() {
    for connect in [Kept::blocking, Kept::tokio] {
        let (closes, closed) = channel();
        let peer = Peer::listening(move |listener| {
            let scripts: [&[Step]; 3] = [
                &[Greet, Hear("SET k 1\n"), Say("OK 1 -\n")],
                &[Greet, Hear("SET k 2\n"), Say("OK 2 -\nERR IDLE nothing came\n")],
                &[Greet, Hear("SET k 3\n"), Say("OK 3 -\n")],
            ];
            for script in scripts {
                let mut stream = accept(listener);
                script.iter().for_each(|step| follow(step, &mut stream));
                drop(stream);
                closes.send(()).unwrap();
            }
        });
        let client = connect(peer.addr, &options());
        for (value, version) in [("1", 1), ("2", 2), ("3", 3)] {
            let outcome = client.call(&Set::new("k", value)).unwrap();
            assert_eq!(outcome.done().unwrap().version, version);
            closed.recv().unwrap();
        }
        drop(client);
        peer.finish();
    }
}

#[test]
fn a_connection_that_does_not_hold_any_more_is_found_out_before_a_write_is_trusted_to_it() {
    let options =
        Options { idle_check: Duration::ZERO, connect_timeout: Some(Duration::from_secs(1)), ..options() };
    for connect in [Kept::blocking, Kept::tokio] {
        let peer = Peer::listening(|listener| {
            let mut first = accept(listener);
            [Greet, Hear("GET a\n"), Say("NIL\n"), Hear("PING\n")]
                .iter()
                .for_each(|step| follow(step, &mut first));
            // Silent from here on, as behind a cable that was pulled.
            let mut second = accept(listener);
            [Greet, Hear("SET k 1\n"), Say("OK 1 -\n"), Await]
                .iter()
                .for_each(|step| follow(step, &mut second));
            assert_eq!(first.read_to_end(&mut Vec::new()).unwrap(), 0);
        });
        let client = connect(peer.addr, &options);
        assert_eq!(client.call(&Get::new("a")).unwrap(), None);
        assert_eq!(client.call(&Set::new("k", "1")).unwrap().done().unwrap().version, 1);
        drop(client);
        peer.finish();
    }
}

#[test]
fn behind_nonsense_the_others_start_afresh() {
    for nonsense in ["OK\n", "VAL 1\n", "WHAT 1\n"] {
        let first: &'static str = format!("VAL 1 - 1\n{nonsense}VAL 9 - 9\n").leak();
        let scripts: &[&[Step]] = &[
            &[Greet, Hear("GET a\nGET b\nGET c\n"), Say(first), Await],
            &[Greet, Hear("GET c\n"), Say("VAL 3 - 3\n")],
        ];
        with_each(&options(), scripts, |client| {
            let mut replies = client.pipeline(&[Get::new("a"), Get::new("b"), Get::new("c")]);
            let last = replies.pop().unwrap().unwrap().unwrap();
            assert_eq!(last.version, 3, "a reply of another request must never be taken for its own");
            assert!(matches!(replies.pop().unwrap(), Err(Error::Protocol(_))), "{nonsense}");
            assert_eq!(replies.pop().unwrap().unwrap().unwrap().version, 1);
        });
    }
}

#[test]
fn a_reply_without_an_end_is_the_end_of_that_request_alone() {
    let endless: &'static str = Box::leak("VAL".repeat(600_000).into_boxed_str());
    let scripts: &[&[Step]] =
        &[&[Greet, Hear("GET a\nGET b\n"), Pour(endless), Await], &[Greet, Hear("GET b\n"), Say("NIL\n")]];
    with_each(&options(), scripts, |client| {
        let replies = client.pipeline(&[Get::new("a"), Get::new("b")]);
        assert!(matches!(replies[0], Err(Error::TooLarge(1_000_000))), "{:?}", replies[0]);
        assert!(matches!(replies[1], Ok(None)), "{:?}", replies[1]);
    });
}

#[test]
fn a_transaction_is_sent_again_if_it_changes_what_it_checks() {
    const LINE: &str =
        "TXN {\"check\":[{\"key\":\"k\",\"version\":3}],\"ops\":[[\"set\",\"other\",1],[\"del\",\"k\"]]}\n";
    let transaction = Transaction::new().check("k", 3).set(Set::new("other", "1")).del(Del::new("k"));
    let sent: &[Step] = &[Greet, Hear(LINE)];
    with_each(&options(), &[sent, &[Greet, Hear(LINE), Say("OK 5\n")]], |client| {
        assert_eq!(client.call(&transaction).unwrap(), Commit::Done { version: Some(5) });
    });
    with_each(&options(), &[sent, &[Greet, Hear(LINE), Say("NO CHECK 0\n")]], |client| {
        let cause = in_doubt(client.call(&transaction));
        assert!(matches!(&cause, Error::Overtaken { reply } if reply == "NO CHECK 0"), "{cause:?}");
    });
}

#[test]
fn every_request_says_what_it_is_good_for() {
    let (reads, guarded) = (Repeat::Freely, Repeat::UnderVersion);
    assert_eq!(Get::new("k").repeat(), reads);
    assert_eq!(Set::new("k", "1").repeat(), Repeat::Never);
    assert_eq!(Set::new("k", "1").if_version(1).repeat(), guarded);
    assert_eq!((&&Set::new("k", "1").if_version(1)).repeat(), guarded);
    assert_eq!(Again(Set::new("k", "1")).repeat(), Repeat::Anyway);
    assert_eq!(Again(Set::new("k", "1").if_version(1)).repeat(), guarded);
    assert_eq!(Incr::new("k").repeat(), Repeat::Never);
    assert_eq!(Patch::new("k", "{}").repeat(), Repeat::Never);
    assert_eq!(Patch::new("k", "{}").if_version(1).repeat(), guarded);
    assert_eq!((DelPrefix::new("k").repeat(), DelPrefix::new("k").dry().repeat()), (Repeat::Never, reads));

    let transaction = Transaction::new;
    let (set, del) = (Set::new("k", "1"), Del::new("k"));
    assert_eq!(transaction().check("k", 1).repeat(), reads, "it changes nothing");
    assert_eq!(transaction().check("k", 1).set(set).repeat(), guarded);
    assert_eq!(transaction().check("l", 1).check("k", 1).set(Set::new("m", "1")).del(del).repeat(), guarded);
    assert_eq!(transaction().check_in("n", "k", Some(1)).set(set.in_namespace("n")).repeat(), guarded);
    for unsafe_one in [
        transaction().set(set),
        transaction().check("l", 1).set(set),
        transaction().check_absent("k").set(set),
        // They may be in different namespaces, for all that is known here.
        transaction().check_in("n", "k", Some(1)).set(set),
    ] {
        assert_eq!(unsafe_one.repeat(), Repeat::Never, "{unsafe_one:?}");
    }
}
