//! Telling HTTP from this protocol by the first line of a connection.
//!
//! A page in a browser can make it send a request to any port, with a body of the page's choosing; read line by line,
//! such a body would be commands. The first line of every HTTP request ends in its version, and no line of this
//! protocol that makes sense does.

/// Bytes of the beginning of a first line that are looked at: more than the name of a header has.
const HEAD_BYTES: usize = 64;

/// Bytes of its end that are looked at: more than ` HTTP/1.1` and a CR have.
const TAIL_BYTES: usize = 16;

/// First byte of a TLS connection: the type of a record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The two ends of the first line of a connection, which is all that is left of one that is over the limit.
#[derive(Debug, Default)]
pub(crate) struct FirstLine {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl FirstLine {
    /// Notes the next piece of the line.
    pub(crate) fn note(&mut self, piece: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(TAIL_BYTES)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
    }

    /// Judges the line, all of which has been noted.
    pub(crate) fn is_http(&self) -> bool {
        is_header(&self.head) || is_request_line(&self.tail)
    }
}

/// Whether a connection begins with a TLS handshake instead of a line. No verb begins with a control character.
pub(crate) fn is_tls(beginning: &[u8]) -> bool {
    beginning.first() == Some(&TLS_HANDSHAKE)
}

/// `Name: …`: no command has a colon in its verb.
fn is_header(head: &[u8]) -> bool {
    let name = head.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    name > 0 && head.get(name) == Some(&b':')
}

/// `… HTTP/<version>`, in any case.
fn is_request_line(tail: &[u8]) -> bool {
    let tail = tail.strip_suffix(b"\r").unwrap_or(tail);
    let Some(space) = tail.iter().rposition(|&byte| byte == b' ') else { return false };
    match tail[space + 1..].split_first_chunk::<5>() {
        Some((name, [b'0'..=b'9', rest @ ..])) => {
            name.eq_ignore_ascii_case(b"HTTP/")
                && rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_http(pieces: &[&str]) -> bool {
        let mut first = FirstLine::default();
        pieces.iter().for_each(|piece| first.note(piece.as_bytes()));
        first.is_http()
    }

    #[test]
    fn http_is_told_from_commands() {
        for line in [
            "GET / HTTP/1.1",
            "get / http/1.1\r",
            "POST /x HTTP/1.0",
            "PRI * HTTP/2.0",
            "BREW coffee HTTP/3",
            "Host: localhost",
            "X-Forwarded-For:1.2.3.4",
        ] {
            assert!(is_http(&[line]), "{line}");
        }
        for line in [
            "GET a",
            "GET user:1",
            "SET a \"GET / HTTP/1.1\"",
            "SET HTTP/1.1 1",
            "SET a {\"x\": 1}",
            "PING",
            "",
            " HTTP/",
            "GET a xHTTP/1.1",
        ] {
            assert!(!is_http(&[line]), "{line}");
        }
    }

    #[test]
    fn a_line_in_pieces_is_judged_like_a_whole_one() {
        for line in [format!("GET /{} HTTP/1.1\r", "x".repeat(100)), format!("Host: {}", "x".repeat(100))] {
            for split in 0..=line.len() {
                assert!(is_http(&[&line[..split], &line[split..]]), "{split}");
            }
        }
    }
}
