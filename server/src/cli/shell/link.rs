//! The shell's connection: sends lines as they are typed, and comes back after the server was away.
//!
//! Nothing is ever sent twice. What belongs to the connection is set up again on a new one: who it is, and its namespace.
//! What identified it is kept in memory for that, and nowhere else.

use std::time::Duration;

use larder_client::request::{Ping, Replies, Request, Shape};
use larder_client::{Code, Connection, Error, Options, RequestError};
use larder_protocol::Verb;
use larder_protocol::reply::{Reply, ReplyError};
use tokio::time::timeout;

use super::line::{shape, verb};

/// How long a connection has to show that it is still there.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a server may take until a connection is ready for lines.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    addr: String,
    options: Options,
    connection: Option<Connection>,
    /// Whether there is none because it has failed.
    is_lost: bool,
    /// The `AUTH` or `HELLO` that identified the connection.
    identity: Option<String>,
    /// The namespace that a new connection is to have, if not that of the server.
    wanted: Option<String>,
    /// The one that this connection has, as far as the server has told it.
    namespace: Option<String>,
}

/// A line as it was typed, whose reply is wanted as it comes.
#[derive(Debug)]
struct Raw<'l> {
    line: &'l str,
    shape: Shape,
}

impl Request for Raw<'_> {
    type Reply = String;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        out.extend_from_slice(self.line.as_bytes());
        out.push(b'\n');
        Ok(())
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn read(replies: Replies<'_>) -> Result<String, ReplyError> {
        let mut text = String::new();
        for line in replies.lines() {
            text.push_str(str::from_utf8(line).map_err(|_| ReplyError::Encoding)?);
            text.push('\n');
        }
        Ok(text)
    }
}

impl Link {
    /// Connects.
    pub(super) async fn open(addr: &str, options: Options) -> Result<Self, Error> {
        let wanted = options.namespace.clone();
        // A reply takes as long as it takes; whoever is tired of waiting says so.
        let options = Options { reply_timeout: None, ..options };
        let mut link = Self {
            addr: addr.to_owned(),
            options,
            connection: None,
            is_lost: false,
            identity: None,
            wanted,
            namespace: None,
        };
        link.connect().await?;
        Ok(link)
    }

    /// The namespace of the connection, if it is known.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    /// Makes sure that there is a connection. Whether it had been lost.
    pub(super) async fn ready(&mut self) -> Result<bool, Error> {
        if let Some(connection) = &mut self.connection {
            if let Ok(Ok(())) = timeout(ALIVE_TIMEOUT, connection.call(&Ping)).await {
                return Ok(false);
            }
            self.is_lost = true;
        }
        let was_lost = self.is_lost;
        self.connect().await?;
        Ok(was_lost)
    }

    /// Gives the connection up, and with it the reply that is awaited.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }

    /// Gives up a connection that has failed.
    pub(super) fn lose(&mut self) {
        self.connection = None;
        self.is_lost = true;
    }

    /// Sends a line. Gives the lines of its reply, an `ERR` among them.
    pub(super) async fn ask(&mut self, line: &str) -> Result<String, Error> {
        let reply = send(self.connection()?, line).await?;
        let is_done = reply.starts_with("OK");
        match verb(line) {
            Some(Verb::Ns) if is_done => {
                self.namespace = namespace_in(&reply);
                self.wanted.clone_from(&self.namespace);
            }
            Some(Verb::Auth | Verb::Hello) if is_done => {
                self.identity = Some(line.to_owned());
                let wanted = self.wanted.clone();
                self.namespace = place(self.connection()?, wanted.as_deref()).await?;
            }
            _ => {}
        }
        Ok(reply)
    }

    /// Asks for what the shell itself wants to know, on a new connection if there is none. Gives the lines of the reply.
    pub(super) async fn peek(&mut self, request: &str) -> Result<String, Error> {
        if self.connection.is_none() {
            self.connect().await?;
        }
        send(self.connection()?, request).await
    }

    /// The connection, for what is no line and its reply.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, Error> {
        self.connection.as_mut().ok_or(Error::Poisoned)
    }

    /// The connection is in place once it is set up, and not before: any of this may be given up half way.
    async fn connect(&mut self) -> Result<(), Error> {
        self.connection = None;
        let set_up = timeout(SET_UP_TIMEOUT, self.set_up()).await;
        let (connection, namespace) = set_up.map_err(|_| Error::Timeout(SET_UP_TIMEOUT))??;
        (self.connection, self.namespace, self.is_lost) = (Some(connection), namespace, false);
        Ok(())
    }

    /// A new connection, and its namespace.
    async fn set_up(&self) -> Result<(Connection, Option<String>), Error> {
        let mut connection = Connection::connect_with(self.addr.as_str(), &self.options).await?;
        if let Some(identity) = &self.identity {
            send(&mut connection, identity).await?;
        }
        let namespace = place(&mut connection, self.wanted.as_deref()).await?;
        Ok((connection, namespace))
    }
}

/// Gives the connection its namespace, or asks which one it has. `None` where the server does not tell, as one that wants a
/// token first.
async fn place(connection: &mut Connection, wanted: Option<&str>) -> Result<Option<String>, Error> {
    let mut line = b"NS".to_vec();
    if let Some(namespace) = wanted {
        line.push(b' ');
        larder_protocol::write_token(&mut line, namespace);
    }
    Ok(namespace_in(&send(connection, &String::from_utf8_lossy(&line)).await?))
}

async fn send(connection: &mut Connection, line: &str) -> Result<String, Error> {
    match connection.call(&Raw { line, shape: shape(line) }).await {
        Err(Error::Server { code, text }) => Ok(error_line(code.as_str(), &text)),
        Err(Error::Compacted { text, .. }) => Ok(error_line(Code::Compacted.as_str(), &text)),
        Err(Error::UnknownCode { code, text }) => Ok(error_line(&code, &text)),
        reply => reply,
    }
}

/// The line that the connection has read an error from.
fn error_line(code: &str, text: &str) -> String {
    format!("ERR {code} {text}").trim_end().to_owned() + "\n"
}

fn namespace_in(reply: &str) -> Option<String> {
    match Reply::parse(reply.trim_end_matches('\n').as_bytes()) {
        Ok(Reply::Ok(fields)) => fields.token().ok().map(|namespace| namespace.into_owned()),
        _ => None,
    }
}
