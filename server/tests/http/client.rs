//! A client that knows nothing but the form of a message.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::support::PATIENCE;

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    pub(super) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { address, stream, reader }
    }

    /// Whether something has come, or the end.
    pub(super) fn is_answered(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let answered = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).unwrap();
        answered
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request with these headers besides those that it must have.
    pub(super) fn request(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{line} HTTP/1.1\r\n");
        let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        headers.iter().for_each(|(name, value)| add(name, value));
        let given = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if !given("host") {
            add("Host", &self.address.to_string());
        }
        if !body.is_empty() && !given("transfer-encoding") && !given("content-length") {
            add("Content-Length", &body.len().to_string());
        }
        self.send([head.as_bytes(), b"\r\n", body].concat());
    }

    /// Sends a request without a body, and reads the answer.
    pub(super) fn ask(&mut self, line: &str) -> Answer {
        self.request(line, &[], b"");
        self.answer(line.starts_with("HEAD"))
    }

    /// Sends JSON, and reads the answer.
    pub(super) fn ask_with(&mut self, line: &str, body: &str) -> Answer {
        self.request(line, &[("Content-Type", "application/json")], body.as_bytes());
        self.answer(false)
    }

    /// The next answer; of a request for the head, that alone.
    pub(super) fn answer(&mut self, head_alone: bool) -> Answer {
        let mut answer = self.head().expect("the server has closed the connection");
        let bodiless = head_alone || answer.status == 204 || answer.status == 304;
        if bodiless {
        } else if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut answer.body).unwrap();
        } else {
            self.reader.read_to_end(&mut answer.body).unwrap();
        }
        answer
    }

    /// Status and headers of the next answer; `None` if the server has closed.
    pub(super) fn head(&mut self) -> Option<Answer> {
        let status = self.line()?;
        let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let mut answer =
            Answer { status: status.expect("an answer begins with its status"), ..Answer::default() };
        loop {
            let line = self.line().expect("a head ends with an empty line");
            let Some((name, value)) = line.split_once(':') else { return Some(answer) };
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The next chunk of a body; `None` at its end.
    pub(super) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().expect("a chunk begins with its size"), 16).unwrap();
        let mut chunk = vec![0; size];
        self.reader.read_exact(&mut chunk).unwrap();
        assert_eq!(self.line().as_deref(), Some(""));
        (size > 0).then_some(chunk)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Ends the input.
    pub(super) fn end(&mut self) {
        match self.stream.shutdown(Shutdown::Write) {
            // The server has closed the connection since.
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            result => result.unwrap(),
        }
    }

    /// Reads everything until the server closes.
    pub(super) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too: it comes where the server closes with input unread.
        _ = self.reader.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
