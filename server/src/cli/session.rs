//! What every verb begins with: the options they share, a connection, and somewhere to write to.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use larder_client::blocking::Connection;
use larder_client::request::Request;
use larder_client::{Error, Options, Tls, Token};

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::{Output, Style, say};

const ADDR_DEFAULT: &str = "127.0.0.1:5273";

/// Options that all verbs share, and that may stand before the verb too.
#[derive(Args)]
#[command(next_help_heading = "Server and output")]
pub(crate) struct Target {
    /// Address of the server
    #[arg(
        long,
        global = true,
        env = "LARDER_ADDR",
        hide_env_values = true,
        value_name = "HOST:PORT",
        alias = "server",
        default_value = ADDR_DEFAULT
    )]
    pub(super) addr: String,
    /// Namespace [default: that of the server, `default`]
    #[arg(long, global = true, env = "LARDER_NS", hide_env_values = true, value_name = "NAMESPACE")]
    ns: Option<String>,
    /// Access token, if the server wants one. Others on this machine can see what stands on a command line: rather use
    /// --token-file or the environment [env: LARDER_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the access token [env: LARDER_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Connect by TLS, to a server whose certificate leads back to one in this file (PEM)
    #[arg(long, global = true, env = "LARDER_TLS_CA", hide_env_values = true, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Name in the server's certificate, if it is not the host of --addr
    #[arg(long, global = true, env = "LARDER_TLS_NAME", hide_env_values = true, value_name = "NAME")]
    tls_name: Option<String>,
    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,
}

/// What it means to a verb that there is no such entry.
#[derive(Debug, Args)]
pub(super) struct Missing {
    /// Whether it is an error, with exit code 1, if there is no such entry
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    error_on_missing: bool,
}

/// A verb at work.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) out: Output,
    addr: String,
    namespace: Option<String>,
}

impl Target {
    /// Connects.
    pub(super) fn open(&self) -> Result<Session, Failure> {
        self.open_with(self.options()?)
    }

    /// Connects, to wait for replies as long as they take.
    pub(super) fn open_patiently(&self) -> Result<Session, Failure> {
        self.open_with(Options { reply_timeout: None, ..self.options()? })
    }

    /// The access token: that of an option, or else that of the environment, and in either the token itself before a file.
    fn token(&self) -> Result<Option<Token>, Failure> {
        let from_environment = |name| env::var_os(name).filter(|value| !value.is_empty());
        let is_named = self.token.is_some() || self.token_file.is_some();
        let (token, file) = if is_named {
            (self.token.clone(), self.token_file.clone())
        } else {
            let token = from_environment("LARDER_TOKEN").map(|token| token.to_string_lossy().into_owned());
            (token, from_environment("LARDER_TOKEN_FILE").map(PathBuf::from))
        };
        if let Some(token) = token {
            return Ok(Some(token.trim().into()));
        }
        let Some(path) = file else { return Ok(None) };
        let unreadable = |source| Failure::Input { name: path.display().to_string(), source };
        Ok(Some(fs::read_to_string(&path).map_err(unreadable)?.trim().into()))
    }

    /// TLS, if there is a file of whom to trust.
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let Some(path) = &self.tls_ca else { return Ok(None) };
        let name = || path.display().to_string();
        let roots = fs::read(path).map_err(|source| Failure::Input { name: name(), source })?;
        let tls = Tls::trusting(&roots)
            .map_err(|error| Failure::Input { name: name(), source: io::Error::other(error) })?;
        Ok(Some(match &self.tls_name {
            Some(name) => tls.server_name(name),
            None => tls,
        }))
    }

    /// How to connect.
    pub(super) fn options(&self) -> Result<Options, Failure> {
        Ok(Options {
            namespace: self.ns.clone(),
            token: self.token()?,
            tls: self.tls()?,
            ..Options::default()
        })
    }

    /// Standard output, for a verb that needs no server.
    pub(super) fn output(&self) -> Output {
        Output::new(self.json)
    }

    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    /// Whether another server is meant than the one that is by default.
    pub(super) fn names_server(&self) -> bool {
        self.addr != ADDR_DEFAULT
    }

    fn open_with(&self, options: Options) -> Result<Session, Failure> {
        let connection = Connection::connect_with(self.addr.as_str(), &options)
            .map_err(|source| Failure::of_connection(&self.addr, source))?;
        Ok(Session { connection, out: self.output(), addr: self.addr.clone(), namespace: self.ns.clone() })
    }
}

impl Session {
    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    /// Sends a request and waits for its reply.
    pub(super) fn call<R: Request>(&mut self, request: &R) -> Result<R::Reply, Failure> {
        self.connection.call(request).map_err(|error| self.failure(error))
    }

    pub(super) fn failure(&self, source: Error) -> Failure {
        Failure::of_request(&self.addr, source)
    }

    /// Ends with what was written.
    pub(super) fn done(mut self) -> Result<Status, Failure> {
        self.out.flush()?;
        Ok(Status::Done)
    }

    /// Ends because there is no such entry.
    pub(super) fn absent(self, key: &str) -> Result<Status, Failure> {
        let place = self.namespace.as_ref().map(|ns| format!(" in namespace {ns:?}")).unwrap_or_default();
        let sentence = format!("there is no entry {key:?}{place}");
        self.no(absent(key), &sentence)
    }

    /// As [`absent`](Session::absent), where that may be fine.
    pub(super) fn absent_or(mut self, missing: &Missing, key: &str) -> Result<Status, Failure> {
        if missing.error_on_missing {
            return self.absent(key);
        }
        if self.out.style() == Style::Json {
            self.out.object(absent(key))?;
        }
        self.done()
    }

    /// Ends because of what a condition found: `answer` for programs, `sentence` for people.
    pub(super) fn no(mut self, answer: Object, sentence: &str) -> Result<Status, Failure> {
        match self.out.style() {
            Style::Json => self.out.object(answer)?,
            Style::Plain | Style::Terminal => say(&sentence),
        }
        self.out.flush()?;
        Ok(Status::No)
    }
}

/// What programs are told of an entry that is not there.
fn absent(key: &str) -> Object {
    Object::new().text("key", key).text("result", "absent")
}
