//! What the log says of requests, and what it never does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use super::client::Client;
use super::command;
use super::second::{END_HEADERS, END_STREAM, GET, HEADERS, begin, frame, head};
use crate::support::Server;

#[test]
fn the_log_is_structured_and_keeps_secrets() {
    for format in ["text", "json"] {
        let directory = tempfile::tempdir().unwrap();
        let format_flag = format!("--log-format={format}");
        let flags = ["--log=trace", &format_flag];
        let mut command = command(directory.path(), flags);
        let mut server = Server::spawn(command.stderr(Stdio::piped()));
        let mut log = server.log();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).unwrap();
            text
        });
        let mut client = Client::connect(server.http);
        let headers = |token| [("X-Request-Id", "request-of-ours"), ("Authorization", token)];
        let line = "PUT /v1/namespaces/hidden-namespace/entries/hidden-key?desc=hidden-description";
        client.request(line, &headers("Bearer hidden-token"), b"\"hidden-value\"");
        assert_eq!(client.answer(false).status, 401);
        client.request(line, &headers("Basic aGlkZGVuOmhpZGRlbi10b2tlbg=="), b"\"hidden-value\"");
        assert_eq!(client.answer(false).status, 401);
        assert_eq!(client.ask_with(line, "\"hidden-value\"").status, 200);
        assert_eq!(client.ask_with(line, "hidden-value").status, 400);
        // Of what cannot be read, the library itself would tell.
        let mut second = TcpStream::connect(server.http).unwrap();
        let path = head(&[GET], "/v1/hidden path");
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &path);
        second.write_all(&[begin(b""), request].concat()).unwrap();
        second.shutdown(Shutdown::Write).unwrap();
        _ = second.read_to_end(&mut Vec::new());
        let mut lines = server.connect();
        lines.send(
            "AUTH hidden-token\nHELLO token=hidden-token\nSET hidden-key \"hidden-value\"\nhidden-command\n",
        );
        (0..4).for_each(|_| _ = lines.reply());
        drop((client, lines));
        assert!(server.stop().success());
        let log = reader.join().unwrap();
        assert!(log.contains("request-of-ours"), "{log}");
        assert!(!log.contains("hidden") && !log.contains("aGlkZGVu"), "{log}");
        if format == "text" {
            assert!(log.contains("status=401") && log.contains("NOAUTH"), "{log}");
        } else {
            let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let of_ours = |line: &&Value| line["span"]["id"] == "request-of-ours";
            let answered = lines.iter().find(of_ours).unwrap();
            assert_eq!(answered["status"], 401);
            assert_eq!(answered["code"], "NOAUTH");
            assert_eq!(answered["route"], "/v1/namespaces/{namespace}/entries/{*key}");
            assert!(answered["timestamp"].is_string() && answered["level"].is_string());
        }
    }
}
