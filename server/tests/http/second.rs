//! HTTP/2, frame by frame, for a client that begins with it.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::Fixture;
use crate::support::PATIENCE;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// Fields of the static table, as one byte each.
pub(super) const GET: u8 = 0x82;
const PUT_NAME: u8 = 0x02;
const HTTP: u8 = 0x86;
const STATUS_200: u8 = 0x88;

pub(super) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A field whose name is in the static table, with a value that is written out.
fn field(name: u8, value: &str) -> Vec<u8> {
    [&[name, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

pub(super) fn head(method: &[u8], path: &str) -> Vec<u8> {
    const AUTHORITY_NAME: u8 = 0x01;
    const PATH_NAME: u8 = 0x04;
    [method, &[HTTP], &field(AUTHORITY_NAME, "localhost"), &field(PATH_NAME, path)].concat()
}

/// The next frame of this kind: its stream and payload.
fn next(stream: &mut TcpStream, wanted: u8) -> (u8, Vec<u8>) {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == wanted {
            return (head[8], payload);
        }
    }
}

/// How a client begins, with these settings.
pub(super) fn begin(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, settings)[..]].concat()
}

#[test]
fn several_requests_share_a_connection() {
    let fixture = Fixture::start([]);
    let mut stream = TcpStream::connect(fixture.server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = "/v1/namespaces/n/entries/a";
    let begun = [
        begin(b""),
        frame(HEADERS, END_HEADERS, 1, &head(&field(PUT_NAME, "PUT"), path)),
        frame(DATA, END_STREAM, 1, b"{\"a\": 1}"),
    ];
    stream.write_all(&begun.concat()).unwrap();
    let (number, fields) = next(&mut stream, HEADERS);
    assert_eq!((number, fields[0]), (1, STATUS_200));
    assert_eq!(next(&mut stream, DATA), (1, b"{\"version\":1,\"expires_at\":null}".to_vec()));
    let read = |number| frame(HEADERS, END_HEADERS | END_STREAM, number, &head(&[GET], path));
    stream.write_all(&[read(3), read(5)].concat()).unwrap();
    let mut answered: Vec<_> = (0..2).map(|_| next(&mut stream, DATA)).collect();
    answered.sort();
    assert_eq!(answered, [(3, b"{\"a\":1}".to_vec()), (5, b"{\"a\":1}".to_vec())]);
}

/// Also of one that is refused before it gets to a route.
#[test]
fn a_head_alone_has_no_body() {
    let fixture = Fixture::start([]);
    let mut stream = TcpStream::connect(fixture.server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let foreign = [&[0, 6][..], b"origin", &[11], b"http://x.it"].concat();
    let refused = [head(&field(PUT_NAME, "HEAD"), "/v1/namespaces"), foreign].concat();
    let refused = frame(HEADERS, END_HEADERS | END_STREAM, 1, &refused);
    stream.write_all(&[begin(b""), refused].concat()).unwrap();
    let (number, fields) = next(&mut stream, HEADERS);
    assert_eq!(number, 1);
    assert_ne!(fields[0], STATUS_200);
    let answered = frame(HEADERS, END_HEADERS | END_STREAM, 3, &head(&[GET], "/v1/namespaces"));
    stream.write_all(&answered).unwrap();
    assert_eq!(next(&mut stream, DATA).0, 3);
}
