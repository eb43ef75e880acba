//! HTTP: golden scripts, what must be refused, and how it ends.

mod changes;
mod client;
mod described;
mod dialects;
mod ending;
mod framing;
mod isolation;
mod kestra;
mod log;
mod observed;
mod pairs;
mod places;
mod scripts;
mod second;

use std::path::{Path, PathBuf};

use crate::support::{Server, serve_in};
use client::Client;

/// A server, and a directory that goes away with it.
struct Fixture {
    server: Server,
    directory: tempfile::TempDir,
}

impl Fixture {
    /// With these flags besides.
    fn start<'a>(flags: impl IntoIterator<Item = &'a str>) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::spawn(command(directory.path(), flags).arg("--log=error"));
        Fixture { server, directory }
    }

    /// Where the store is.
    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
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
