//! Tests of the server, all of them against the built binary and over its socket.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod changes;
mod cli;
mod clock;
mod kill;
mod lifecycle;
mod load;
mod mounted;
mod power;
mod scripts;
mod shortage;
mod support;
mod watch;
mod wire;
