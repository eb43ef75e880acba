//! Walking over the lines of a chunk.

use memchr::memchr;

/// The lines of a chunk, each without its LF and one CR before it; empty ones are passed over.
///
/// ```
/// let lines: Vec<_> = larder_protocol::lines(b"PING\r\n\nGET a\n").collect();
/// assert_eq!(lines, [&b"PING"[..], &b"GET a"[..]]);
/// ```
#[must_use]
pub fn lines(chunk: &[u8]) -> Lines<'_> {
    Lines { rest: chunk }
}

/// See [`lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let (line, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }
}
