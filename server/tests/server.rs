//! Tests of the server, all of them against the built binary and over its socket.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod abuse;
mod access;
mod changes;
mod cli;
mod client;
mod clock;
mod generator;
mod http;
mod kill;
mod lifecycle;
mod limits;
mod linearizable;
mod load;
mod mounted;
mod notify;
mod power;
mod scripts;
mod shortage;
mod stopped;
mod support;
mod tls;
mod watch;
mod wire;
