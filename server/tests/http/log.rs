//! What the log says of requests, and what it never does.

use std::io::BufRead;
use std::process::Stdio;

use super::client::Client;
use super::command;
use crate::support::Server;

#[test]
fn requests_are_logged_by_id_without_what_they_hold() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path(), ["--log=trace"]);
    let mut server = Server::spawn(command.stderr(Stdio::piped()));
    let mut client = Client::connect(server.http);
    let headers = [("X-Request-Id", "the-request"), ("Authorization", "Bearer secret-token")];
    client.request("PUT /v1/namespaces/n/entries/secret-key?desc=secret-note", &headers, b"\"secret-value\"");
    assert_eq!(client.answer(false).status, 401);
    client.request(
        "PUT /v1/namespaces/n/entries/secret-key?desc=secret-note",
        &headers[..1],
        b"\"secret-value\"",
    );
    assert_eq!(client.answer(false).status, 200);
    let log = server.log();
    assert!(server.stop().success());
    let lines: Vec<String> = log.lines().map(Result::unwrap).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line.contains("the-request")).collect();
    assert_eq!(answered.len(), 2, "{lines:#?}");
    assert!(answered[0].contains("status=401") && answered[0].contains("NOAUTH"), "{}", answered[0]);
    assert!(answered[1].contains("status=200") && answered[1].contains("{*key}"), "{}", answered[1]);
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:#?}");
}
