//! JSON as it is given on the command line, or on standard input.

use std::io::{Read, stdin};

use larder_protocol::json::compact;
use larder_protocol::{DEPTH_MAX, Limits};

use super::failure::Failure;

/// Longest standard input that is read: room for the largest value or transaction, and white space between its tokens.
const STDIN_BYTES_MAX: u64 = 2 * Limits::DEFAULT.transaction_bytes as u64;

/// The JSON text that an argument stands for: itself, or where it is `-` what is on standard input.
pub(super) fn json(name: &str, argument: &str) -> Result<String, Failure> {
    let text = text(argument)?;
    match compact(&text, DEPTH_MAX) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::Usage(format!("{name}, byte {}: {error}", error.position + 1))),
    }
}

/// The text that an argument stands for.
pub(super) fn text(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = stdin().lock().take(STDIN_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|source| Failure::Input { name: "standard input".into(), source })?;
    if text.len() as u64 > STDIN_BYTES_MAX {
        return Err(Failure::Usage(format!("standard input is longer than {STDIN_BYTES_MAX} bytes")));
    }
    Ok(text)
}
