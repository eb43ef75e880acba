//! The everyday verbs, in a pipe and with `--json`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{Larder, end, verb};

#[test]
fn a_value_goes_in_and_comes_out_as_the_text_that_it_was() {
    let larder = Larder::start();
    let json = r#"{"b":1.0,"a":[1E400,1234567890123456789012345678901234567890],"a":null}"#;
    assert_eq!(larder.done(&["set", "k", json]), "1\t-\n");
    assert_eq!(larder.done(&["get", "k"]), format!("{json}\n"));
    let expected = format!("{{\"key\":\"k\",\"version\":1,\"expires_at\":null,\"value\":{json}}}\n");
    assert_eq!(larder.done(&["get", "k", "--json"]), expected);
    assert_eq!(larder.done(&["get", "k", "--path", "/a"]), "null\n");
    larder.run(&["get", "k", "--path", "/c"]).refuses(1, "nothing at \"/c\"");
    larder.run(&["get", "nobody"]).refuses(1, "there is no entry \"nobody\"");
    let absent = larder.run(&["get", "nobody", "--json"]);
    assert_eq!((absent.code, absent.stdout.as_str()), (1, "{\"key\":\"nobody\",\"result\":\"absent\"}\n"));
    assert_eq!(absent.stderr, "");
}

#[test]
fn a_value_that_is_no_json_is_refused_with_a_hint() {
    let larder = Larder::start();
    larder.run(&["set", "k", "hello"]).refuses(2, "--string");
    larder.done(&["set", "k", "hello \"you\"", "--string"]);
    assert_eq!(larder.done(&["get", "k"]), "\"hello \\\"you\\\"\"\n");
    larder.done(&["set", "k", "-5"]);
    assert_eq!(larder.done(&["get", "k"]), "-5\n");
    assert_eq!(larder.run_with(&["set", "k", "-"], " [1, 2]\n").code, 0);
    assert_eq!(larder.done(&["get", "k"]), "[1,2]\n");
    assert_eq!(larder.run_with(&["set", "k", "-", "--string"], "a\nb\n").code, 0);
    assert_eq!(larder.done(&["get", "k"]), "\"a\\nb\"\n");
}

#[test]
fn conditions_decide() {
    let larder = Larder::start();
    larder.run(&["set", "k", "1", "--if-present"]).refuses(1, "there is no entry");
    assert_eq!(larder.done(&["set", "k", "1", "--if-absent"]), "1\t-\n");
    larder.run(&["set", "k", "2", "--if-absent"]).refuses(1, "exists already, with version 1");
    larder.run(&["set", "k", "2", "--if-version", "9"]).refuses(1, "has version 1");
    let refused = larder.run(&["set", "k", "2", "--if-version", "9", "--json"]);
    let answer = "{\"key\":\"k\",\"result\":\"version\",\"version\":1}\n";
    assert_eq!((refused.code, refused.stdout.as_str()), (1, answer));
    assert_eq!(larder.done(&["set", "k", "2", "--if-version", "1"]), "2\t-\n");
    larder.run(&["del", "k", "--if-version", "1"]).refuses(1, "has version 2");
    assert_eq!(larder.done(&["del", "k", "--if-version", "2", "--print"]), "2\n");
    larder.run(&["del", "k"]).refuses(1, "there is no entry");
    larder.done(&["set", "k", "3"]);
    let deleted = larder.done(&["del", "k", "--json"]);
    assert!(deleted.starts_with("{\"key\":\"k\",\"result\":\"deleted\",\"version\":"), "{deleted}");
}

#[test]
fn tasks_of_a_flow_have_their_like() {
    let larder = Larder::start();
    assert_eq!(larder.done(&["set", "test_b", "1", "--overwrite=false"]), "1\t-\n");
    let refused = larder.run(&["set", "test_b", "2", "--overwrite=false"]);
    refused
        .refuses(1, "Cannot set value for key 'test_b'. Key already exists and overwrite is set to false.");
    let refused = larder.run(&["set", "test_b", "2", "--overwrite=false", "--json"]);
    let answer = "{\"key\":\"test_b\",\"result\":\"exists\",\"version\":1}\n";
    assert_eq!((refused.code, refused.stdout.as_str()), (1, answer));
    for overwrite in ["--overwrite", "--overwrite=true"] {
        larder.done(&["set", "test_b", "{\"address\":{\"country\":\"France\"}}", overwrite, "--ttl", "P30D"]);
    }
    assert_eq!(larder.run(&["set", "test_b", "2", "--overwrite=false", "--if-present"]).code, 2);
    assert_eq!(larder.run(&["set", "test_b", "2", "--overwrite=maybe"]).code, 2);
    assert_eq!(larder.done(&["get", "test_b", "--path", "/address/country"]), "\"France\"\n");

    for verb in ["get", "del"] {
        for flag in ["--error-on-missing", "--error-on-missing=true"] {
            larder.run(&[verb, "nobody", flag]).refuses(1, "there is no entry \"nobody\"");
        }
        let missing = larder.run(&[verb, "nobody", "--error-on-missing=false"]);
        assert_eq!((missing.code, missing.stdout.as_str(), missing.stderr.as_str()), (0, "", ""));
        let missing = larder.done(&[verb, "nobody", "--error-on-missing=false", "--json"]);
        assert_eq!(missing, "{\"key\":\"nobody\",\"result\":\"absent\"}\n");
    }
    larder.done(&["set", "test_a", "1"]);
    larder.done(&["set", "other", "1"]);
    let keys = larder.done(&["ls", "test_", "--all"]);
    assert_eq!(
        keys.lines().filter_map(|line| line.split('\t').next()).collect::<Vec<_>>(),
        ["test_a", "test_b"]
    );
    assert_eq!(larder.done(&["ls", "nothing_", "--all"]), "");
    assert_eq!(larder.done(&["ls", "nothing_", "--error-on-missing=false"]), "");
    assert_eq!(larder.done(&["ls", "test_", "--all", "--error-on-missing"]), keys);
    let missing = ["ls", "nothing_", "--all", "--error-on-missing"];
    larder.run(&missing).refuses(1, "there is no entry whose key begins with \"nothing_\"");
    let missing = larder.run(&[&missing[..], &["--json"]].concat());
    let answer = "{\"prefix\":\"nothing_\",\"result\":\"absent\"}\n";
    assert_eq!((missing.code, missing.stdout.as_str()), (1, answer));
    larder.done(&["del", "test_a", "--error-on-missing=false"]);
    larder.run(&["get", "test_a"]).refuses(1, "there is no entry");
}

#[test]
fn numbers_are_counted_up_and_down() {
    let larder = Larder::start();
    assert_eq!(larder.done(&["incr", "hits"]), "1\n");
    assert_eq!(larder.done(&["incr", "hits", "--by", "-5"]), "-4\n");
    assert_eq!(larder.done(&["incr", "other", "--init", "10", "--by", "5", "--ns", "n"]), "15\n");
    let counted = larder.done(&["incr", "brief", "--ttl", "2100-01-01T00:00:00Z", "--json"]);
    assert_eq!(counted, "{\"key\":\"brief\",\"version\":4,\"expires_at\":4102444800000,\"value\":1}\n");
    larder.done(&["set", "text", "\"1\""]);
    larder.run(&["incr", "text"]).refuses(2, "TYPE");
    larder.run(&["incr", "hits", "--by", "-9223372036854775808"]).refuses(2, "RANGE");
    assert_eq!(larder.run(&["incr", "hits", "--by", "1.5"]).code, 2);
}

#[test]
fn values_are_patched() {
    let larder = Larder::start();
    larder.done(&["set", "k", r#"{"a":1.0,"b":2}"#]);
    assert_eq!(larder.done(&["patch", "k", r#"{"b":null,"c":[1]}"#]), "{\"a\":1.0,\"c\":[1]}\n");
    assert_eq!(larder.run_with(&["patch", "k", "-"], "{\"c\":\n null}\n").stdout, "{\"a\":1.0}\n");
    let patched = larder.done(&["patch", "k", "{}", "--if-version", "3", "--json"]);
    assert_eq!(patched, "{\"key\":\"k\",\"version\":4,\"expires_at\":null,\"value\":{\"a\":1.0}}\n");
    larder.run(&["patch", "k", "{}", "--if-version", "3"]).refuses(1, "has version 4");
    larder.run(&["patch", "nobody", "{}"]).refuses(1, "there is no entry");
    larder.run(&["patch", "k", "{"]).refuses(2, "PATCH, byte 2");
}

#[test]
fn a_prefix_is_deleted_after_a_look() {
    let larder = Larder::start();
    for key in ["u:1", "u:2", "v"] {
        larder.done(&["set", key, "1"]);
    }
    assert_eq!(larder.done(&["del", "--prefix", "u:", "--dry-run"]), "2\n");
    let counted = larder.done(&["del", "--prefix", "u:", "--dry-run", "--json"]);
    assert_eq!(counted, "{\"prefix\":\"u:\",\"would_delete\":2}\n");
    assert_eq!(larder.done(&["del", "--prefix", "u:"]), "2\n");
    assert_eq!(larder.done(&["ls"]), "v\t3\t-\n");
    assert_eq!(larder.done(&["del", "--prefix", "", "--json"]), "{\"prefix\":\"\",\"deleted\":1}\n");
    for wrong in [
        &["del"][..],
        &["del", "k", "--prefix", "u"],
        &["del", "k", "--dry-run"],
        &["del", "--prefix", "u", "--print"],
        &["del", "--prefix", "u", "--if-version", "1"],
    ] {
        assert_eq!(larder.run(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn transactions_are_documents() {
    let larder = Larder::start();
    let lock =
        r#"{"check":[{"key":"lock","version":null}],"ops":[["set","lock",1],["set","job",2,{"ttl":60}]]}"#;
    assert_eq!(larder.done(&["txn", lock]), "2\n");
    larder.run(&["txn", lock]).refuses(1, "check 0 (from 0) does not hold");
    let refused = larder.run(&["txn", lock, "--json"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, "{\"result\":\"check\",\"check\":0}\n"));
    let read = larder.run_with(&["txn", "--json"], "{\n  \"ops\": [[\"del\", \"lock\"]]\n}\n");
    assert_eq!((read.code, read.stdout.as_str()), (0, "{\"result\":\"done\",\"version\":3}\n"));
    assert_eq!(larder.done(&["txn", r#"{"ops":[["del","lock"]]}"#]), "-\n");
    assert_eq!(larder.done(&["txn", "{}", "--json"]), "{\"result\":\"done\",\"version\":null}\n");
    assert_eq!(larder.done(&["txn", r#"{"ops":[["set","k",1]]}"#, "--ns", "n"]), "4\n");
    assert_eq!(larder.done(&["get", "k", "--ns", "n"]), "1\n");
    larder.run(&["txn", "{"]).refuses(2, "DOCUMENT, byte 2");
    larder.run(&["txn", r#"{"ops":[["set","",1]]}"#]).refuses(2, "ops[0]");
}

#[test]
fn space_is_given_back_on_demand() {
    let larder = Larder::start();
    assert_eq!(larder.done(&["compact"]), "0\t0\n");
    let json = larder.done(&["compact", "--json"]);
    assert!(json.starts_with("{\"segments_in\":0,") && json.ends_with("}\n"), "{json}");
}

#[test]
fn expiry_is_set_kept_changed_and_taken() {
    let larder = Larder::start();
    let expires = |line: &str| line.trim_end().split('\t').nth(1).unwrap().to_owned();
    let at = "2099-01-31T12:00:00Z";
    assert_eq!(expires(&larder.done(&["set", "k", "1", "--at", at])), "4073544000000");
    assert_eq!(expires(&larder.done(&["set", "k", "2", "--keep-ttl"])), "4073544000000");
    assert_eq!(expires(&larder.done(&["persist", "k"])), "-");
    assert_eq!(larder.done(&["ttl", "k"]), "-\n");
    assert_eq!(larder.done(&["ttl", "k", "--json"]), "{\"key\":\"k\",\"ttl_ms\":null}\n");
    larder.done(&["touch", "k", "--ttl", "PT1H"]);
    let left: u64 = larder.done(&["ttl", "k"]).trim_end().parse().unwrap();
    assert!((1..=3_600_000).contains(&left), "{left}");
    assert_eq!(expires(&larder.done(&["touch", "k", "--at", at])), "4073544000000");
    assert_eq!(expires(&larder.done(&["set", "k", "3"])), "-");
    for verb in ["ttl", "persist"] {
        larder.run(&[verb, "nobody"]).refuses(1, "there is no entry");
    }
    larder.run(&["touch", "nobody", "--ttl", "5"]).refuses(1, "there is no entry");
    larder.run(&["touch", "k"]).refuses(2, "--ttl");
    larder.run(&["touch", "k", "--ttl", "0"]).refuses(2, "greater than zero");
    larder.run(&["set", "k", "1", "--at", "2001-01-01T00:00:00Z"]).refuses(2, "future");
    for wrong in [["--ttl", "soon"], ["--at", "5m"], ["--type", "TREE"]] {
        assert_eq!(larder.run(&["set", "k", "1", wrong[0], wrong[1]]).code, 2);
    }
    assert_eq!(larder.run(&["set", "k", "1", "--ttl", "5", "--keep-ttl"]).code, 2);
    assert_eq!(larder.run(&["set", "k", "1", "--ttl", "5", "--at", at]).code, 2);
}

#[test]
fn an_entry_shows_all_its_fields() {
    let larder = Larder::start();
    larder.done(&["set", "k", "\"2030-01-31\"", "--type", "date", "--desc", "a \"note\"", "--ns", "n"]);
    let entry = larder.done(&["entry", "k", "--ns", "n"]);
    for part in [
        "\"organization\":\"default\"",
        "\"namespace\":\"n\"",
        "\"key\":\"k\"",
        "\"value\":\"2030-01-31\"",
        "\"type\":\"DATE\"",
        "\"description\":\"a \\\"note\\\"\"",
        "\"version\":1",
        "\"created_at\":1",
        "\"updated_at\":1",
        "\"expires_at\":null",
        "\"id\":\"ds_",
    ] {
        assert!(entry.contains(part), "{part} in {entry}");
    }
    assert_eq!(entry.lines().count(), 1);
    larder.run(&["entry", "k"]).refuses(1, "there is no entry");
    larder.run(&["entry", "k", "--ns", "m"]).refuses(1, "in namespace \"m\"");
}

#[test]
fn listings_are_columns_or_objects() {
    let larder = Larder::start();
    for key in ["a", "b c", "b", "x"] {
        larder.done(&["set", key, "[1]"]);
    }
    assert_eq!(larder.done(&["ls"]), "a\t1\t-\nb\t3\t-\nb c\t2\t-\nx\t4\t-\n");
    assert_eq!(larder.done(&["ls", "b", "--values"]), "b\t3\t-\t[1]\nb c\t2\t-\t[1]\n");
    assert_eq!(larder.done(&["ls", "--reverse", "--limit", "4"]).lines().next(), Some("x\t4\t-"));
    assert_eq!(larder.done(&["ls", "nothing"]), "");
    assert_eq!(larder.done(&["count"]), "4\n");
    assert_eq!(larder.done(&["count", "b", "--json"]), "{\"count\":2}\n");

    let cut = larder.run(&["ls", "--limit", "2"]);
    assert_eq!((cut.code, cut.stdout.as_str()), (0, "a\t1\t-\nb\t3\t-\n"));
    let cursor = cut.stderr.split_once("--cursor ").unwrap().1.split_once(' ').unwrap().0;
    assert_eq!(larder.done(&["ls", "--cursor", cursor]), "b c\t2\t-\nx\t4\t-\n");
    let objects = larder.done(&["ls", "--limit", "1", "--json", "--values"]);
    let expected = "{\"key\":\"a\",\"version\":1,\"expires_at\":null,\"value\":[1]}\n{\"next\":\"YQ\"}\n";
    assert_eq!(objects, expected);
    assert_eq!(larder.done(&["ls", "--all"]).lines().count(), 4);
    for wrong in [&["ls", "--limit", "0"][..], &["ls", "--all", "--limit", "5"], &["ls", "--cursor", "!"]] {
        assert_eq!(larder.run(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn shared_options_may_stand_before_the_verb() {
    let larder = Larder::start();
    larder.done(&["--ns", "a", "set", "k", "1"]);
    assert_eq!(larder.done(&["--json", "--ns=a", "count"]), "{\"count\":1}\n");
    assert_eq!(larder.done(&["--ns", "b", "count", "--ns", "a"]), "1\n", "the nearer one counts");
    let mut command = verb();
    let address = larder.server.address.to_string();
    let ended = end(command.env("LARDER_NS", "b").args(["--addr", &address, "--ns", "a", "count"]), "");
    assert_eq!(ended.stdout, "1\n", "the environment counts less, wherever the option stands");
    let ended = end(verb().args(["--ns", "a", "serve"]), "");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("no option --ns"), "{}", ended.stderr);
}

#[test]
fn namespaces_are_apart() {
    let larder = Larder::start();
    larder.done(&["set", "k", "1"]);
    larder.done(&["set", "k", "2", "--ns", "a b"]);
    assert_eq!(larder.done(&["get", "k", "--ns", "a b"]), "2\n");
    assert_eq!(larder.done(&["namespaces"]), "a b\t1\ndefault\t1\n");
    assert_eq!(larder.done(&["namespaces", "d", "--json"]), "{\"namespace\":\"default\",\"entries\":1}\n");
    let addr = larder.server.address.to_string();
    let ended = end(verb().args(["get", "k"]).env("LARDER_ADDR", addr).env("LARDER_NS", "a b"), "");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "2\n"));
}

#[test]
fn the_server_about_itself() {
    let larder = Larder::start();
    let addr = larder.server.address.to_string();
    assert!(larder.done(&["ping"]).starts_with(&format!("{addr} answered in ")));
    assert!(larder.done(&["ping", "--json"]).starts_with(&format!("{{\"addr\":\"{addr}\",\"took_us\":")));
    for arguments in [&["stats"][..], &["stats", "--json"]] {
        let stats = larder.done(arguments);
        assert!(stats.starts_with('{') && stats.ends_with("}\n") && stats.lines().count() == 1, "{stats}");
    }
}

#[test]
fn failures_have_their_exit_codes() {
    let larder = Larder::start();
    larder.run(&["get", "a\tb"]).refuses(2, "BADKEY");
    larder.run(&["set", "k", "1", "--type", "STRING"]).refuses(2, "TYPE");
    assert_eq!(larder.run(&["get"]).code, 2);
    assert_eq!(larder.run(&["fetch", "k"]).code, 2);
    let addr = larder.server.address.to_string();
    drop(larder);
    end(verb().args(["get", "k", "--addr", &addr]), "").refuses(3, "larder serve");
    end(verb().args(["get", "k", "--addr", "nonsense"]), "").refuses(2, "HOST:PORT");
}

#[test]
fn a_reader_that_has_enough_ends_a_listing_quietly() {
    let larder = Larder::start();
    let lines: String = (0..20_000).map(|n| format!("{{\"key\":\"key:{n}\",\"value\":{n}}}\n")).collect();
    assert_eq!(larder.run_with(&["import"], &lines).code, 0);
    let addr = larder.server.address.to_string();
    let mut child = verb()
        .args(["ls", "--all", "--values", "--addr", &addr])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "key:0\t1\t-\t0\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
