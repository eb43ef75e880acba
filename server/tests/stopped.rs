//! A disk that stands still: writes wait, and what is acknowledged is read as always.

use std::io::ErrorKind;

use crate::mounted::Mounted;
use crate::support::{Client, Server, serve_in};

/// Whether nothing has come on a connection so far.
fn is_silent(client: &Client) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).unwrap();
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn reads_go_on_while_a_file_system_is_frozen() {
    let Some(mounted) = Mounted::ext4() else { return };
    let mut command = serve_in(&mounted.path().join("data"));
    let server = Server::spawn(command.args(["--log=error", "--segment-bytes=4194304"]));
    let mut reader = server.connect();
    assert_eq!(reader.ask("SET a 1"), "OK 1 -");
    let large = "x".repeat(900_000);
    assert_eq!(reader.ask(&format!("SET large ns=other \"{large}\"")), "OK 2 -");

    let Some(frozen) = mounted.freeze() else { return };
    let mut writers: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for (number, writer) in writers.iter_mut().enumerate() {
        writer.send(format!("SET w{number} {number}\nLIST limit=1000\n"));
    }
    // What it tells could be taken back by a power cut.
    let mut waiting = server.connect();
    waiting.send("SET b 2\nGET b\n");
    for _ in 0..1_000 {
        assert_eq!(reader.ask("GET a"), "VAL 1 - 1");
    }
    let mut another = server.connect();
    assert_eq!(another.ask("GET large ns=other").len(), large.len() + "VAL 2 - ".len() + 2);
    // All of the places for long listings would be taken, if the writers waited in them.
    another.send("LIST ns=other limit=1000\nCOUNT ns=other\nPING\n");
    let replies: Vec<String> = (0..4).map(|_| another.reply()).collect();
    assert_eq!(replies, ["ITEM large 2 -", "END 1", "OK 1", "OK"]);
    assert!(is_silent(&waiting) && writers.iter().all(is_silent));

    drop(frozen);
    assert!(waiting.reply().starts_with("OK "));
    assert!(waiting.reply().ends_with(" - 2"));
    assert!(writers.iter_mut().all(|writer| writer.reply().starts_with("OK ")));
    assert!(server.stop().success());
}
