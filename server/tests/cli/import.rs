//! `import`: good lines, bad lines, and what is said about them.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::{Larder, end, scripted, verb};
use crate::support::{PATIENCE, ended};

#[test]
fn every_field_is_stored_and_numbers_keep_their_digits() {
    let larder = Larder::start();
    let lines = r#"{"namespace":"n","key":"a b","value":{"x":1.0,"y":-0,"z":1234567890123456789012345678901234567890},"ttl":3600,"description":"a note"}

{"key":"when","value":"2030-01-31","type":"DATE","expires_at":"2099-01-31T12:00:00Z"}
{"key":"ms","value":null,"expires_at":4073544000000}
"#;
    let ended = larder.run_with(&["import"], lines);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert_eq!(ended.stderr, "larder: imported 3, failed 0\n");
    let value = "{\"x\":1.0,\"y\":-0,\"z\":1234567890123456789012345678901234567890}\n";
    assert_eq!(larder.done(&["get", "a b", "--ns", "n"]), value);
    assert!(larder.done(&["entry", "a b", "--ns", "n"]).contains("\"description\":\"a note\""));
    assert!(larder.done(&["entry", "when"]).contains("\"type\":\"DATE\""));
    assert_eq!(larder.done(&["ls"]), "ms\t3\t4073544000000\nwhen\t2\t4073544000000\n");
}

#[test]
fn bad_lines_are_told_and_the_rest_is_stored() {
    let larder = Larder::start();
    let lines = concat!(
        "{\"key\":\"a\",\"value\":1}\n",
        "nonsense\n",
        "{\"key\":\"b\",\"value\":1,\"tll\":5}\n",
        "\n",
        "{\"key\":\"\",\"value\":1}\n",
        "{\"key\":\"c\",\"value\":1}",
    );
    let ended = larder.run_with(&["import"], lines);
    assert_eq!(ended.code, 1);
    // What the server refuses is told when its answer comes, which may be after lines that follow.
    for part in ["line 2: not JSON: ", "line 3: unknown field `tll`", "line 5: ", "imported 2, failed 3\n"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert_eq!(ended.stderr.lines().count(), 4);
    assert_eq!(larder.done(&["count"]), "2\n");
}

#[test]
fn many_bad_lines_are_counted() {
    let larder = Larder::start();
    let ended = larder.run_with(&["import", "--json"], &"bad\n".repeat(50));
    assert_eq!(ended.code, 1);
    assert_eq!(ended.stdout, "{\"imported\":0,\"failed\":50,\"expired\":0,\"unanswered\":0}\n");
    assert!(ended.stderr.contains("line 20: ") && !ended.stderr.contains("line 21: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("30 more lines failed"), "{}", ended.stderr);
}

#[test]
fn strict_stops_at_the_first_bad_line() {
    let larder = Larder::start();
    let lines = "{\"key\":\"a\",\"value\":1}\nbad\n{\"key\":\"b\",\"value\":1}\n";
    let ended = larder.run_with(&["import", "--strict"], lines);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.ends_with("imported 1, failed 1\n"), "{}", ended.stderr);
    assert_eq!(larder.done(&["ls"]), "a\t1\t-\n");
}

#[test]
fn what_has_expired_is_passed_over() {
    let larder = Larder::start();
    let lines = concat!(
        "{\"key\":\"a\",\"value\":1,\"expires_at\":1000}\n",
        "{\"key\":\"b\",\"value\":1,\"expires_at\":\"2001-01-01T00:00:00Z\"}\n",
        "{\"key\":\"c\",\"value\":1}\n",
    );
    let ended = larder.run_with(&["import"], lines);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, "larder: imported 1, failed 0, expired 2\n"));
    assert_eq!(larder.done(&["count"]), "1\n");
}

#[test]
fn objects_can_hold_their_keys() {
    let larder = Larder::start();
    let lines = "{\"id\":17, \"n\":1.0}\n{\"id\":\"a b\"}\n{\"other\":1}\n";
    let ended = larder.run_with(&["import", "--key-field", "id", "--ns", "things"], lines);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("line 3: there is nothing at /id"), "{}", ended.stderr);
    assert_eq!(larder.done(&["get", "17", "--ns", "things"]), "{\"id\":17,\"n\":1.0}\n");
    assert_eq!(larder.done(&["get", "a b", "--ns", "things"]), "{\"id\":\"a b\"}\n");
    let nested = larder.run_with(&["import", "--key-field", "/user/id"], "{\"user\":{\"id\":\"u1\"}}\n");
    assert_eq!(nested.code, 0);
    assert_eq!(larder.done(&["get", "u1"]), "{\"user\":{\"id\":\"u1\"}}\n");
}

#[test]
fn a_file_is_read_by_its_name() {
    let larder = Larder::start();
    let file = larder.path("in.jsonl");
    larder.run(&["import", &file]).refuses(2, "cannot read");
    fs::write(&file, "{\"key\":\"a\",\"value\":1}\n").unwrap();
    assert_eq!(larder.run(&["import", &file]).code, 0);
    assert_eq!(larder.run(&["import", &file, "--key-field", "/a~2"]).code, 2);
}

#[test]
fn a_connection_that_breaks_is_told_with_what_is_in_doubt() {
    let addr = scripted(&[(3, "OK 1 -\n")]);
    let lines = "{\"key\":\"a\",\"value\":1}\n".repeat(3);
    let ended = end(verb().args(["import", "--addr", &addr]), &lines);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    let (summary, failure) = ended.stderr.split_once('\n').unwrap();
    assert_eq!(summary, "larder: imported 1, failed 0, not answered 2");
    assert!(failure.contains("closed the connection"), "{failure}");
}

#[test]
fn entries_that_are_not_durable_in_the_end_are_a_failure() {
    let addr = scripted(&[(1, "OK 1 -\n"), (1, "ERR FAILED the log has failed\n")]);
    let ended = end(verb().args(["import", "--addr", &addr]), "{\"key\":\"a\",\"value\":1}\n");
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("FAILED"), "{}", ended.stderr);
}

#[test]
fn lines_that_come_slowly_are_stored_as_they_come() {
    let larder = Larder::start();
    let addr = larder.server.address.to_string();
    let mut child =
        verb().args(["import", "--addr", &addr]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"key\":\"a\",\"value\":1}\n").unwrap();
    let start = Instant::now();
    while larder.run(&["get", "a"]).code != 0 {
        assert!(start.elapsed() < PATIENCE, "the line is not stored while the input stays open");
        thread::sleep(Duration::from_millis(5));
    }
    drop(stdin);
    assert!(ended(&mut child).success());
}
