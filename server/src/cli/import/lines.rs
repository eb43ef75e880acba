//! Lines of the input, numbered and bounded.

use std::io::{self, BufRead, BufReader, Read};

use larder_protocol::Limits;

/// Longest line: the largest value and room for white space between its tokens, which is not stored.
const LINE_BYTES_MAX: u64 = 4 * Limits::DEFAULT.value_bytes as u64;

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

pub(super) struct LineReader<R> {
    input: BufReader<R>,
    buffer: Vec<u8>,
    number: u64,
    end: u64,
}

pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: u64,
    /// Bytes of the input up to the end of this line.
    pub(super) end: u64,
    /// The line, or why it is none.
    pub(super) text: Result<&'a str, String>,
}

impl<R: Read> LineReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(READ_BYTES, input), buffer: Vec::new(), number: 0, end: 0 }
    }

    /// Whether reading on may have to wait for the input.
    pub(super) fn may_wait(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }

    /// The next line that is not blank; `None` at the end of the input.
    pub(super) fn read(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut too_long = false;
        while !too_long {
            self.buffer.clear();
            let read = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer)? as u64;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.end += read;
            too_long = read == LINE_BYTES_MAX && !self.buffer.ends_with(b"\n");
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let text = if too_long {
            self.end += self.input.skip_until(b'\n')? as u64;
            Err(format!("longer than {LINE_BYTES_MAX} bytes"))
        } else {
            str::from_utf8(&self.buffer)
                .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to() + 1))
        };
        Ok(Some(Line { number: self.number, end: self.end, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_bounded() {
        let long = "x".repeat(usize::try_from(LINE_BYTES_MAX).unwrap() + 1);
        let input = format!("a\n\n  \r\nb\n{long}\nc\n").into_bytes();
        let end = input.len() as u64 + 3;
        let input = [&input[..], b"\xff\nd"].concat();
        let mut lines = LineReader::new(&input[..]);
        let mut seen = Vec::new();
        let mut last = 0;
        while let Some(line) = lines.read().unwrap() {
            seen.push((line.number, line.text.map(|text| text.trim().to_owned()).is_ok()));
            last = line.end;
        }
        assert_eq!(seen, [(1, true), (4, true), (5, false), (6, true), (7, false), (8, true)]);
        assert_eq!(last, end);
    }
}
