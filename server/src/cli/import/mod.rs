//! `larder import`: entries from JSON lines into the store, pipelined.
//!
//! Lines are read one by one and sent ahead of their answers, up to a bounded window; answers are matched to line
//! numbers, so that what the server refuses is reported like what is no JSON at all. The verb returns when every
//! line is answered and the store has said that all of it is durable.

mod lines;
mod record;
mod report;
mod window;

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::PathBuf;

use clap::Args;
use larder_client::request;

use super::Status;
use super::expiry::now_ms;
use super::failure::Failure;
use super::session::{Session, Target};
use lines::LineReader;
use record::{Fault, Form};
use report::Report;
use window::Window;

/// Stores entries read as JSON lines.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line is an object with key and value, and if need be namespace, ttl (seconds, or text as \
    5m) or expires_at (Unix milliseconds, or text as 2030-01-31T12:00:00Z), type and description. What has expired is \
    passed over. When this ends, what it counts as imported is on stable storage. The exit code is 1 if a line could \
    not be stored."
)]
pub(crate) struct Import {
    /// File of JSON lines; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Take whole objects as values, and their keys from this field: a name, or a JSON pointer as /user/id
    #[arg(long, value_name = "NAME")]
    key_field: Option<String>,
    /// Stop at the first line that cannot be stored; of the lines after it, those already sent are stored
    #[arg(long)]
    strict: bool,
}

/// What is read.
struct Input {
    read: Box<dyn Read>,
    /// How long it is, where that is known.
    bytes: Option<u64>,
}

impl Import {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let form = Form::new(self.key_field.as_deref()).map_err(Failure::Usage)?;
        let input = self.open()?;
        let mut session = target.open()?;
        let mut report = Report::new(input.bytes);
        let result = self.import(&mut session, &form, LineReader::new(input.read), &mut report);
        report.finish(&mut session.out)?;
        result?;
        session.out.flush()?;
        Ok(if report.is_clean() { Status::Done } else { Status::No })
    }

    fn import(
        &self,
        session: &mut Session,
        form: &Form,
        mut lines: LineReader<impl Read>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let mut window = Window::default();
        let result = self.send_all(session, form, &mut lines, &mut window, report);
        // Whatever was sent is waited for, also after input that could not be read to its end.
        let settled = window.settle(session, report);
        report.unanswered(window.len());
        result.and(settled)?;
        session.call(&request::Sync).map(|_version| ())
    }

    fn send_all(
        &self,
        session: &mut Session,
        form: &Form,
        lines: &mut LineReader<impl Read>,
        window: &mut Window,
        report: &mut Report,
    ) -> Result<(), Failure> {
        loop {
            if lines.may_wait() {
                // The server works while this waits, and lines that come slowly are stored as they come.
                session.connection.flush();
            }
            let line = lines.read().map_err(|source| self.input_failure(source))?;
            let Some(line) = line else { return Ok(()) };
            report.read_up_to(line.end);
            let record = match line.text {
                Ok(text) => form.record(text, now_ms()),
                Err(fault) => Err(Fault::Bad(fault)),
            };
            match record {
                Ok(record) => window.send(session, line.number, &record, report)?,
                Err(Fault::Expired) => report.expired(),
                Err(Fault::Bad(what)) => report.failed(line.number, &what),
            }
            if self.strict && !report.is_clean() {
                return Ok(());
            }
        }
    }

    fn open(&self) -> Result<Input, Failure> {
        if self.file.as_os_str() == "-" {
            return Ok(Input { read: Box::new(stdin().lock()), bytes: None });
        }
        let file = File::open(&self.file).map_err(|source| self.input_failure(source))?;
        let metadata = file.metadata().map_err(|source| self.input_failure(source))?;
        Ok(Input { read: Box::new(file), bytes: metadata.is_file().then_some(metadata.len()) })
    }

    fn input_failure(&self, source: io::Error) -> Failure {
        let name = match self.file.to_string_lossy() {
            name if name == "-" => "standard input".to_owned(),
            name => name.into_owned(),
        };
        Failure::Input { name, source }
    }
}
