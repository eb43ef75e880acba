//! Who the client is, and what follows from it for the connection: what it may send, how long its lines may be, and for how
//! long it may stay without authenticating.

use std::future::pending;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use larder_protocol::reply::write;
use larder_protocol::{Code, Command, Frame, LineLimits};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Connection;
use super::turn::Next;
use crate::command::manage::{self, Managed};
use crate::command::{denial, namespace_of, need_of};
use crate::shared::Tally;

/// Longest line of a client that has not authenticated, in bytes.
const STRANGER_LINE_BYTES: usize = 1024;
/// How long such a client has to take what it is told at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Waits until then, or for ever.
pub(super) async fn deadline(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

impl Connection {
    /// Answers what the codec has found. A client that has not authenticated does not hold up this connection beyond its
    /// deadline, even if it does not read.
    pub(super) async fn frame(&mut self, frame: Frame) -> io::Result<ControlFlow<()>> {
        self.keep_up();
        match self.auth_by {
            None => self.answer(frame).await,
            Some(at) => timeout_at(at, self.answer(frame))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Keeps up with what has changed about the client.
    pub(super) fn keep_up(&mut self) {
        if self.session.is_stale() {
            self.session.refresh();
            self.settle();
        }
    }

    /// Goes by who the client is now.
    pub(super) fn settle(&mut self) {
        let is_stranger = self.session.grant().is_nobodys();
        if is_stranger != self.auth_by.is_some() {
            self.auth_by = is_stranger.then(|| Instant::now() + self.shared.auth_timeout);
            self.codec.set_limits(self.line_limits());
            self.socket.set_slow(is_stranger);
        }
    }

    pub(super) fn line_limits(&self) -> LineLimits {
        match self.auth_by {
            Some(_) => LineLimits::all(STRANGER_LINE_BYTES),
            None => self.shared.limits.lines(),
        }
    }

    /// Ends the connection of a client that has not authenticated in time.
    pub(super) async fn time_out(&mut self) -> io::Result<()> {
        let seconds = self.shared.auth_timeout.as_secs_f64();
        self.refuse(Code::AuthTimeout, &format!("nobody has authenticated within {seconds} s"));
        timeout(FAREWELL, self.socket.flush()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// What comes after a turn, if the client may do that; else it is told so.
    pub(super) fn admitted<'c>(&mut self, next: Next<'c>) -> Next<'c> {
        self.keep_up();
        let (command, ns);
        let (command, namespace) = match &next {
            Next::Sync => (&Command::Sync, None),
            Next::Manage(command) => (command, None),
            Next::Backup(name) => {
                command = Command::Backup { name: name.clone() };
                (&command, None)
            }
            Next::Compact => (&Command::Compact, None),
            Next::Delprefix(prefix, named) => {
                command = Command::Delprefix { prefix: prefix.clone(), dry: false };
                ns = named.as_deref().unwrap_or(self.namespaces.last());
                (&command, namespace_of(&command, ns))
            }
            Next::Watch(watch, named) => {
                command = Command::Watch(watch.clone());
                ns = named.as_deref().unwrap_or(self.namespaces.last());
                (&command, namespace_of(&command, ns))
            }
            Next::Turn | Next::Authenticate { .. } | Next::Close => return next,
        };
        match self.session.grant().check(need_of(command.verb()), namespace, self.session.now_ms()) {
            Ok(()) => next,
            Err(denied) => {
                let error = denial(denied);
                self.refuse(error.code, &error.text);
                Next::Turn
            }
        }
    }

    /// Answers `AUTH`, and `HELLO` with a token.
    pub(super) fn authenticate(&mut self, token: &str, greets: bool) {
        if self.session.authenticate(token) {
            self.shared.tally(Tally { commands: 1, ..Tally::default() });
            if greets {
                write::ok_json(&mut self.socket.output, &self.shared.hello);
            } else {
                write::ok(&mut self.socket.output);
            }
        } else if self.session.registry().has_keys() {
            self.refuse(
                Code::NoAuth,
                "there is no such access key; it may have been revoked, or have expired",
            );
        } else {
            self.refuse(Code::NoAuth, "there are no access keys on this server; connect without a token");
        }
        self.settle();
    }

    /// Answers `ORG` and `KEY`. The registry waits for the disk, and the other tasks of this thread go on elsewhere.
    pub(super) fn manage(&mut self, command: &Command<'_>) {
        let registry = self.session.registry();
        let managed = block_in_place(|| match command {
            Command::Org(org) => manage::org(registry, org),
            Command::Key(key) => manage::key(registry, key, self.shared.limits.max_ttl_ms),
            _ => Ok(Managed::Items(Vec::new())),
        });
        match managed {
            Ok(managed) => {
                self.shared.tally(Tally { commands: 1, ..Tally::default() });
                let output = &mut self.socket.output;
                match managed {
                    Managed::Object(json) => write::ok_json(output, json.as_bytes()),
                    Managed::Items(items) => {
                        items.iter().for_each(|json| write::item_json(output, json.as_bytes()));
                        write::end(output, items.len() as u64, None);
                    }
                }
            }
            Err(error) => self.refuse(error.code, &error.text),
        }
    }
}
