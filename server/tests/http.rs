//! HTTP: golden scripts, what must be refused, and how it ends.

mod changes;
mod client;
mod described;
mod dialects;
mod ending;
mod framing;
mod kestra;
mod log;
mod observed;
mod scripts;
mod second;

use std::path::Path;

use crate::support::{Server, serve_in};
use client::Client;

/// A server, and a directory that goes away with it.
struct Fixture {
    server: Server,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// With these flags besides.
    fn start<'a>(flags: impl IntoIterator<Item = &'a str>) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::spawn(command(directory.path(), flags).arg("--log=error"));
        Fixture { server, _directory: directory }
    }

    fn connect(&self) -> Client {
        Client::connect(self.server.http)
    }
}

fn command<'a>(directory: &Path, flags: impl IntoIterator<Item = &'a str>) -> std::process::Command {
    // Within the directory, so that backups, which go beside the data, go away with it.
    let mut command = serve_in(&directory.join("data"));
    command.args(flags);
    command
}
