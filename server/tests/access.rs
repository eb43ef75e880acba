//! Organizations and keys over the wire: what each may, that it takes effect at once, and that it survives a kill.
//!
//! What one connection is answered stands in the golden scripts `keys` and `organizations`; here is what takes more.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::thread;

use crate::support::{Client, Random, Server, serve_in};

/// The text of a field in a JSON object.
fn field(object: &str, name: &str) -> String {
    let after =
        object.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("{name} in {object}")).1;
    after.split('"').next().unwrap().to_owned()
}

/// A client that has authenticated.
fn authenticated(server: &Server, token: &str) -> Client {
    let mut client = server.connect();
    assert_eq!(client.ask(&format!("AUTH {token}")), "OK");
    client
}

/// Makes a first key, and gives its token.
fn first_key(server: &Server) -> String {
    let made = server.connect().ask("KEY create scope=admin");
    assert!(made.starts_with("OK {"), "{made}");
    field(&made, "token")
}

/// Makes an organization, and a key for it.
fn organization(operator: &mut Client, name: &str, settings: &str) -> String {
    let made = operator.ask(&format!("ORG create {name} {settings}"));
    assert!(made.starts_with("OK {"), "{made}");
    key(operator, &format!("org={name}"))
}

fn key(operator: &mut Client, options: &str) -> String {
    let made = operator.ask(&format!("KEY create {options}"));
    assert!(made.starts_with("OK {"), "{made}");
    field(&made, "token")
}

fn count(client: &mut Client) -> u64 {
    client.ask("COUNT").strip_prefix("OK ").unwrap().parse().unwrap()
}

#[test]
fn everything_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let admin = first_key(&server);
    let mut operator = authenticated(&server, &admin);
    let kept = organization(&mut operator, "kept", "plan=team entries=600");
    let gone = organization(&mut operator, "gone", "");
    let revoked = key(&mut operator, "org=kept");
    let mut member = authenticated(&server, &gone);
    let sets: String = (0..2000).map(|number| format!("SET k{number} {number}\n")).collect();
    member.send(sets);
    (0..2000).for_each(|_| assert!(member.reply().starts_with("OK ")));
    assert!(authenticated(&server, &kept).ask("SET a 1").starts_with("OK "));
    let id = revoked[3..19].to_owned();
    assert!(operator.ask(&format!("KEY revoke {id}")).starts_with("OK "));
    assert!(operator.ask("ORG delete gone").starts_with("OK "));
    server.kill();

    let server = Server::start(directory.path());
    let mut stranger = server.connect();
    for token in [&revoked, &gone] {
        assert!(stranger.ask(&format!("AUTH {token}")).starts_with("ERR NOAUTH "));
    }
    assert!(authenticated(&server, &kept).ask("GET a").ends_with(" - 1"));
    let mut operator = authenticated(&server, &admin);
    operator.send("ORG list\n");
    assert!(operator.reply().contains("\"organization\":\"default\""));
    let shown = operator.reply();
    assert!(
        shown.contains("\"plan\":\"team\",\"entries_max\":600,") && shown.ends_with(",\"entries\":1}"),
        "{shown}"
    );
    assert_eq!(operator.reply(), "END 2");
    let again = organization(&mut operator, "gone", "");
    assert_eq!(count(&mut authenticated(&server, &again)), 0);
    // The purge goes on by itself, and ends: one entry is left, and the records of two organizations, three keys and a
    // counter.
    let left = |operator: &mut Client| -> u64 {
        let stats = operator.ask("STATS");
        stats.split_once("\"entries\":").unwrap().1.split(',').next().unwrap().parse().unwrap()
    };
    while left(&mut operator) != 1 + 2 + 3 + 1 {
        thread::yield_now();
    }
}

#[test]
fn a_key_that_expires_ends_what_goes_on_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let admin = first_key(&server);
    let mut operator = authenticated(&server, &admin);
    let token = key(&mut operator, "ttl=1500ms");
    let mut idle = authenticated(&server, &token);
    let mut watcher = authenticated(&server, &token);
    assert!(watcher.ask("WATCH").starts_with("OK "));
    // Nothing happens but that time passes.
    assert_eq!(
        watcher.reply(),
        "ERR NOAUTH the access key has expired; authenticate with another: AUTH <token>"
    );
    assert!(idle.ask("GET a").starts_with("ERR NOAUTH "));
    assert!(idle.ask(&format!("AUTH {token}")).starts_with("ERR NOAUTH "));
    assert_eq!(idle.ask(&format!("AUTH {admin}")), "OK");
    operator.send("KEY list\n");
    assert!(operator.reply().contains("\"scope\":\"admin\""));
    assert_eq!(operator.reply(), "END 1");
    // It is none that would be left without an operator.
    assert!(operator.ask(&format!("KEY revoke {}", &admin[3..19])).starts_with("OK {"));
    assert_eq!(server.connect().ask("GET a"), "NIL");
}

/// Values that are made of the one before, sent together: each is made again once the one before it is there, and counts once.
#[test]
fn a_change_that_has_to_be_made_again_counts_as_one_request() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut client = server.connect();
    let large = format!("SET a {{\"text\":\"{}\"}}", "x".repeat(50_000));
    assert!(client.ask(&large).starts_with("OK "));
    for _ in 0..10 {
        // With that there are three requests, whatever was used up before.
        assert!(client.ask("ORG set default rate=3").starts_with("OK {"));
        client.send("PATCH a {\"n\":1}\nPATCH a {\"n\":2}\nPATCH a {\"n\":3}\n");
        for number in 1..=3 {
            let reply = client.reply();
            assert!(reply.ends_with(&format!(",\"n\":{number}}}")), "{}", &reply[..60.min(reply.len())]);
        }
    }
}

#[test]
fn a_watcher_that_reads_nothing_is_cut_when_its_key_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let admin = first_key(&server);
    let mut operator = authenticated(&server, &admin);
    let token = key(&mut operator, "scope=read_only");
    let mut watcher = authenticated(&server, &token);
    assert_eq!(watcher.ask("WATCH values=1 from=0"), "OK 0");
    let large = format!("SET a \"{}\"\n", "x".repeat(900_000));
    for _ in 0..16 {
        operator.send(&large);
        assert!(operator.reply().starts_with("OK "));
    }
    let id = token[3..19].to_owned();
    assert!(operator.ask(&format!("KEY revoke {id}")).starts_with("OK "));
    let newest: u64 = operator.ask("SET secret 1").split(' ').nth(1).unwrap().parse().unwrap();
    // What was on the way arrives, and then that it is over: nothing of what came after.
    let mut last = String::new();
    while let Some(line) = watcher.line() {
        let over = line.starts_with("ERR NOAUTH ");
        last = line;
        if over {
            break;
        }
        assert!(last.starts_with("EVT set "), "{}", &last[..20.min(last.len())]);
        assert!(last.split(' ').nth(2).unwrap().parse::<u64>().unwrap() < newest);
    }
    assert!(last.starts_with("ERR NOAUTH "), "{}", &last[..20.min(last.len())]);
}

#[test]
fn whoever_does_not_authenticate_in_time_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::spawn(serve_in(directory.path()).args(["--auth-timeout", "300ms", "--log=error"]));
    let admin = first_key(&server);
    let mut silent = server.connect();
    assert_eq!(silent.line().unwrap(), "ERR AUTHTIMEOUT nobody has authenticated within 0.3 s");
    assert_eq!(silent.line(), None);
    // Talking does not help, and neither does a line without an end.
    let mut talker = server.connect();
    while let Some(reply) = talker.try_ask("PING") {
        if reply != "OK" {
            assert!(reply.starts_with("ERR AUTHTIMEOUT "), "{reply}");
            break;
        }
    }
    let mut endless = server.connect();
    endless.send("AUTH lk_");
    assert!(endless.line().unwrap().starts_with("ERR AUTHTIMEOUT "));
    // Who has authenticated stays.
    let mut member = authenticated(&server, &admin);
    let mut other = server.connect();
    assert!(other.line().unwrap().starts_with("ERR AUTHTIMEOUT "));
    assert_eq!(member.ask("PING"), "OK");
    assert_eq!(member.ask("COUNT"), "OK 0");
}

#[test]
fn what_is_sent_ahead_is_judged_by_what_comes_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let admin = first_key(&server);
    let long = "x".repeat(5_000);
    let mut client = server.connect();
    client.send(format!(
        "GET a\nAUTH {admin}\nSET a \"{long}\"\nEXISTS a\nKEY create scope=read_only\nCOUNT\n"
    ));
    assert!(client.reply().starts_with("ERR NOAUTH "));
    assert_eq!(client.reply(), "OK");
    assert!(client.reply().starts_with("OK "));
    assert_eq!(client.reply(), "OK 1");
    let reader = field(&client.reply(), "token");
    assert_eq!(client.reply(), "OK 1");
    client.send(format!(
        "DEL a\nAUTH {reader}\nDEL a\nHELLO token={admin}\nDEL a\nKEY revoke {}\nPING\n",
        &admin[3..19]
    ));
    assert!(client.reply().starts_with("OK "));
    assert_eq!(client.reply(), "OK");
    assert!(client.reply().starts_with("ERR DENIED "));
    assert!(client.reply().starts_with("OK {"));
    assert_eq!(client.reply(), "NIL");
    assert!(client.reply().starts_with("ERR BADARG "));
    assert_eq!(client.reply(), "OK");
}

#[test]
fn the_limit_on_entries_holds_however_many_write_at_once() {
    const LIMIT: usize = 700;
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut operator = authenticated(&server, &first_key(&server));
    let token = organization(&mut operator, "acme", &format!("plan=team entries={LIMIT}"));
    let written: usize = thread::scope(|scope| {
        let write = |writer: usize| {
            let mut client = authenticated(&server, &token);
            let namespace = ["a", "b"][writer % 2];
            let sets = (0..400).map(|number| format!("SET {writer}:{number} ns={namespace} ttl=1h 1\n"));
            client.send(sets.collect::<String>());
            let replies: Vec<_> = (0..400).map(|_| client.reply()).collect();
            assert!(replies.iter().all(|reply| reply.starts_with("OK ") || reply.starts_with("ERR QUOTA ")));
            replies.iter().filter(|reply| reply.starts_with("OK ")).count()
        };
        let writers: Vec<_> = (0..4).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(written, LIMIT);
    let mut member = authenticated(&server, &token);
    assert!(member.ask("STATS").ends_with(&format!("\"entries\":{LIMIT}}}")));
    assert!(member.ask("SET one-more 1").starts_with("ERR QUOTA "));
}

/// Two organizations do at random what they like with the same names, each on several connections; each sees exactly what
/// it did itself.
#[test]
fn organizations_do_not_see_each_other() {
    const SEED: u64 = 5;
    println!("seed {SEED}");
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut operator = authenticated(&server, &first_key(&server));
    let tokens = ["left", "right"].map(|name| organization(&mut operator, name, ""));
    let mut clients = tokens.each_ref().map(|token| [(); 2].map(|()| authenticated(&server, token)));
    let mut watchers = tokens.each_ref().map(|token| authenticated(&server, token));
    let mut models: [BTreeMap<(String, String), String>; 2] = Default::default();
    let mut events: [Vec<String>; 2] = Default::default();
    for watcher in &mut watchers {
        assert!(watcher.ask("WATCH all=1 from=0").starts_with("OK "));
    }
    let mut random = Random::new(SEED);
    for step in 0..4_000 {
        let (who, connection) = ((random.next() >> 20) as usize % 2, (random.next() >> 20) as usize % 2);
        let (client, model) = (&mut clients[who][connection], &mut models[who]);
        let (namespace, key) = (format!("n{}", random.below(3)), format!("k{}", random.below(6)));
        let place = (namespace.clone(), key.clone());
        let in_namespace = |model: &BTreeMap<(String, String), String>| {
            model.keys().filter(|(of, _)| *of == namespace).count()
        };
        match random.below(6) {
            0 | 1 => {
                let value = format!("\"{who}:{step}\"");
                let reply = client.ask(&format!("SET {key} ns={namespace} {value}"));
                let version = reply.strip_prefix("OK ").unwrap().split(' ').next().unwrap().to_owned();
                events[who].push(format!("EVT set {version} {namespace} {key} -"));
                model.insert(place, value);
            }
            2 => {
                let reply = client.ask(&format!("DEL {key} ns={namespace}"));
                match model.remove(&place) {
                    Some(_) => {
                        let version = reply.strip_prefix("OK ").unwrap();
                        events[who].push(format!("EVT del {version} {namespace} {key} -"));
                    }
                    None => assert_eq!(reply, "NIL"),
                }
            }
            3 => {
                let reply = client.ask(&format!("GET {key} ns={namespace}"));
                match model.get(&place) {
                    Some(value) => assert!(reply.ends_with(&format!(" - {value}")), "{reply}"),
                    None => assert_eq!(reply, "NIL"),
                }
            }
            4 => {
                let count = in_namespace(model);
                assert_eq!(client.ask(&format!("COUNT ns={namespace}")), format!("OK {count}"));
                client.send(format!("LIST ns={namespace} values=1\n"));
                for ((_, key), value) in model.iter().filter(|((of, _), _)| *of == namespace) {
                    let item = client.reply();
                    assert!(item.starts_with(&format!("ITEM {key} ")) && item.ends_with(value), "{item}");
                }
                assert_eq!(client.reply(), format!("END {count}"));
            }
            _ => {
                let stats = client.ask("STATS");
                assert!(stats.ends_with(&format!("\"entries\":{}}}", model.len())), "{stats}");
                client.send("NAMESPACES\n");
                let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
                model.keys().for_each(|(namespace, _)| *counts.entry(namespace).or_default() += 1);
                for (namespace, count) in &counts {
                    assert_eq!(client.reply(), format!("ITEM {namespace} {count}"));
                }
                assert_eq!(client.reply(), format!("END {}", counts.len()));
            }
        }
    }
    for (watcher, events) in watchers.iter_mut().zip(&events) {
        events.iter().for_each(|event| assert_eq!(watcher.reply(), *event));
    }
}

#[test]
fn a_token_is_in_no_log_and_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let mut command = serve_in(&data);
    let server = Server::spawn(command.arg("--log=trace").stderr(File::create(&log).unwrap()));
    let admin = first_key(&server);
    let mut client = server.connect();
    let wrong = format!("{}x", &admin[..admin.len() - 1]);
    assert!(client.ask(&format!("AUTH {wrong}")).starts_with("ERR NOAUTH "));
    assert!(client.ask(&format!("HELLO token={admin}")).starts_with("OK {"));
    client.send("KEY list\n");
    let listed = client.reply();
    assert!(server.stop().success());
    let secret = &admin[20..];
    assert!(!listed.contains(secret));
    let holds = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(secret.len() - 1).any(|window| window == &secret.as_bytes()[..secret.len() - 1])
    };
    assert!(!holds(&log));
    for file in fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert!(!path.is_file() || !holds(&path), "{}", path.display());
    }
}
