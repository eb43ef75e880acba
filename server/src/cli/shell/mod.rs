//! `larder shell`: a prompt for the line protocol. What is typed goes to the server as it stands, and what comes back is
//! shown as it came; beside that the shell only remembers lines, completes words, and connects anew.
//!
//! At a terminal it goes on after every failure. Anywhere else it is a program: lines in, replies out, and the first failure
//! of the connection ends it.

mod complete;
mod editor;
mod history;
mod line;
mod link;
mod paint;

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::rc::Rc;

use clap::Args;
use larder_client::reply::Event;
use larder_client::request::Watch;
use larder_client::{Code, Connection, Error};
use larder_protocol::reply::{EventKind, write};
use larder_protocol::{Command, Limits, Verb, parse};
use tokio::runtime::{Builder, Runtime};

use super::Status;
use super::failure::Failure;
use super::output::{Output, say};
use super::session::Target;
use editor::Editor;
use line::{Line, OWN_COMMANDS, verb};
use link::Link;
use paint::Painter;

/// Longest line of the input: more than a server takes.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Sends lines of the protocol to the server as they are typed, and shows its replies.
#[derive(Debug, Args)]
#[command(
    after_help = "What is typed is what goes over the wire (see docs/protocol.md): HELP lists the commands, TAB completes \
    commands, options, keys and namespaces. WATCH goes on until Ctrl-C, and so does the wait for any reply. The shell's own commands: .help, \
    .pretty (indents JSON), .quit. Lines are kept in $XDG_STATE_HOME/larder/history, or ~/.local/state/larder/history, but \
    none with a token, and none with a space in front. Colours go with NO_COLOR=1.\n\n\
    Without a terminal, lines are read from standard input, and replies are printed as they came:\n  \
    echo 'GET a' | larder shell\n\n\
    Exit codes: 0 all lines were answered, none of them with ERR, 2 a line was answered with ERR or not ended, or the command line is \
    wrong, 3 the server or the way to it failed."
)]
pub(crate) struct Shell {}

/// A shell at work.
struct Session {
    /// A thread's own; completion has it too while a line is read.
    runtime: Rc<Runtime>,
    out: Output,
    painter: Painter,
    indented: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Given,
    Refused,
    /// There is no other to come, since the server has closed the connection.
    Last,
}

impl Shell {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
        let opened = runtime.block_on(Link::open(target.addr(), target.options()?));
        let link = opened.map_err(|source| Failure::of_connection(target.addr(), source))?;
        let painter = Painter::of_stdout();
        let session =
            Session { runtime: Rc::new(runtime), out: Output::new(false), painter, indented: false };
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            session.converse(link)
        } else {
            session.pipe(link, io::stdin())
        }
    }
}

impl Session {
    /// Lines in, replies out.
    fn pipe(mut self, mut link: Link, input: impl Read) -> Result<Status, Failure> {
        let mut input = BufReader::new(input);
        let mut bytes = Vec::new();
        let mut refused = 0_u64;
        loop {
            bytes.clear();
            let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
            let read = read.map_err(|source| Failure::Input { name: "standard input".into(), source })?;
            if read == 0 {
                break;
            }
            if bytes.pop() != Some(b'\n') {
                self.out.flush()?;
                return Err(Failure::Usage(match read as u64 {
                    LINE_BYTES_MAX => format!("a line is longer than {LINE_BYTES_MAX} bytes"),
                    _ => "the input ended within a line, which was not sent".to_owned(),
                }));
            }
            let text = str::from_utf8(&bytes).map_err(|_| Failure::Usage("a line is not UTF-8".into()))?;
            match self.line(&mut link, text, false)? {
                None | Some(Answer::Last) => break,
                Some(Answer::Given) => {}
                Some(Answer::Refused) => refused += 1,
            }
            // Whoever sends the next line may be waiting for this reply.
            if !input.buffer().contains(&b'\n') {
                self.out.flush()?;
            }
        }
        self.out.flush()?;
        match refused {
            0 => Ok(Status::Done),
            1 => Err(Failure::Usage("1 line was answered with ERR".into())),
            _ => Err(Failure::Usage(format!("{refused} lines were answered with ERR"))),
        }
    }

    /// A prompt, until its user has enough.
    fn converse(mut self, link: Link) -> Result<Status, Failure> {
        let mut editor = Editor::new(link, Rc::clone(&self.runtime))?;
        loop {
            let prompt = self.painter.prompt(editor.link().namespace());
            let Some(typed) = editor.read(&prompt)? else { return Ok(Status::Done) };
            // What is pasted may be several lines.
            for text in typed.lines() {
                let outcome = self.line(&mut editor.link(), text, true);
                match outcome {
                    Ok(None | Some(Answer::Last)) => {
                        self.out.flush()?;
                        return Ok(Status::Done);
                    }
                    Ok(Some(_)) => self.out.flush()?,
                    Err(failure @ Failure::Output(_)) => return Err(failure),
                    Err(failure) => {
                        self.out.flush()?;
                        say(&failure);
                    }
                }
            }
        }
    }

    /// Does what a line says. `None`: it says that this is the end.
    fn line(&mut self, link: &mut Link, text: &str, is_person: bool) -> Result<Option<Answer>, Failure> {
        match Line::read(text) {
            Line::Empty => Ok(Some(Answer::Given)),
            Line::Quit => Ok(None),
            Line::Pretty => {
                self.indented = !self.indented;
                Ok(Some(Answer::Given))
            }
            Line::Help => {
                for (usage, what) in OWN_COMMANDS {
                    self.out.line(format_args!("{usage:<20}  {what}"))?;
                }
                self.request(link, "HELP", false, is_person).map(Some)
            }
            Line::Unknown(word) => {
                Err(Failure::Usage(format!("the shell has no command {word}; .help lists those that it has")))
            }
            Line::Request { text, indented } => {
                self.request(link, text, indented || self.indented, is_person).map(Some)
            }
        }
    }

    /// Sends a request and shows its reply, until that is there or a person is tired of waiting.
    fn request(
        &mut self,
        link: &mut Link,
        text: &str,
        indented: bool,
        is_person: bool,
    ) -> Result<Answer, Failure> {
        let Session { runtime, out, painter, .. } = self;
        let addr = link.addr().to_owned();
        let interrupted =
            async { if is_person { tokio::signal::ctrl_c().await } else { std::future::pending().await } };
        let is_watch = verb(text) == Some(Verb::Watch);
        let show = |line: &str| {
            out.line(painter.reply(line, indented))?;
            if is_watch { out.flush() } else { Ok(()) }
        };
        let answer = runtime.block_on(async {
            tokio::select! {
                // Looked at first, so that Ctrl-C is caught before anything is shown: else it ends the shell.
                biased;
                _ = interrupted => None,
                answer = answer(link, text, is_person, show) => Some(answer),
            }
        });
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(Stopped::Output(failure))) => Err(failure),
            Some(Err(Stopped::Connection(source))) => {
                link.lose();
                Err(Failure::of_connection(&addr, source))
            }
            None => {
                link.hang_up();
                self.out.line("")?;
                if !is_watch {
                    say(&"not waiting any longer; it may be carried out all the same");
                }
                Ok(Answer::Given)
            }
        }
    }
}

/// Why there is no whole reply.
enum Stopped {
    Connection(Error),
    Output(Failure),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Connection(error)
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

async fn answer(
    link: &mut Link,
    text: &str,
    is_person: bool,
    mut show: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Answer, Stopped> {
    // Only a shell with a person at it may hope for the server to come back.
    if is_person && link.ready().await? {
        say(&format_args!("connected to {} anew", link.addr()));
    }
    if let Ok(request) = parse(text.as_bytes(), &Limits::DEFAULT)
        && let Command::Watch(watch) = &request.command
    {
        return follow(link.connection()?, watch_of(watch, request.ns.as_deref()), show).await;
    }
    let reply = link.ask(text).await?;
    let mut answer = Answer::Given;
    for line in reply.lines() {
        show(line)?;
        if line.starts_with("ERR") {
            answer = Answer::Refused;
        }
    }
    Ok(if verb(text) == Some(Verb::Quit) && answer == Answer::Given { Answer::Last } else { answer })
}

fn watch_of<'w>(watch: &'w larder_protocol::Watch<'_>, namespace: Option<&'w str>) -> Watch<'w> {
    let mut request = Watch::prefix(&watch.prefix);
    if let Some(namespace) = namespace {
        request = request.in_namespace(namespace);
    }
    if watch.all {
        request = request.in_all_namespaces();
    }
    if let Some(version) = watch.from {
        request = request.from(version);
    }
    if watch.values { request.values() } else { request }
}

/// Shows changes as lines of the protocol, for as long as the server tells them.
async fn follow(
    connection: &mut Connection,
    watch: Watch<'_>,
    mut show: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Answer, Stopped> {
    let mut events = match connection.watch(watch).await {
        Ok(events) => events,
        Err(Error::Server { code, text }) => {
            show(&format!("ERR {code} {text}"))?;
            return Ok(Answer::Refused);
        }
        Err(Error::Compacted { text, .. }) => {
            show(&format!("ERR {} {text}", Code::Compacted))?;
            return Ok(Answer::Refused);
        }
        Err(error) => return Err(error.into()),
    };
    show(&format!("OK {}", events.version()))?;
    let mut line = Vec::new();
    while let Some(event) = events.next().await? {
        line.clear();
        match event {
            Event::Change(change) => {
                let kind: EventKind = change.kind;
                let json = change.json.as_deref().map(str::as_bytes);
                let (namespace, key) = (&change.namespace, &change.key);
                write::event(&mut line, kind, change.version, namespace, key, change.expires_ms, json);
            }
            Event::Progress { version } => write::event_progress(&mut line, version),
        }
        show(String::from_utf8_lossy(&line).trim_end_matches('\n'))?;
    }
    Err(Error::Closed.into())
}
