//! Logs to standard error, by a thread of their own.
//!
//! Whoever reads the logs must not be able to hold the server up: lines go through a bounded queue, and those that
//! find it full are dropped. A standard error that is closed, or on a full disk, is put up with.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tracing::Metadata;
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use super::arguments::LogFormat;

/// Lines that may wait to be written.
const QUEUE_LINES: usize = 4096;
/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Logging at work.
#[derive(Debug)]
pub(super) struct Logging {
    queue: SyncSender<Message>,
}

/// Why there is no logging.
#[derive(Debug, Error)]
pub(super) enum LoggingError {
    #[error("the log filter {filter:?} cannot be used: {text}; write info, debug, or module=level")]
    Filter { filter: String, text: String },
    #[error("cannot start the thread that writes the logs: {0}")]
    Thread(#[from] io::Error),
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// To be answered once all lines before it are written.
    Flush(SyncSender<()>),
}

/// Starts logging what `filter` lets through.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<Logging, LoggingError> {
    let refused = |text| LoggingError::Filter { filter: filter.to_owned(), text };
    // The library would take a misspelt level for a module, and then let nothing else through, not even errors.
    let mut words = filter.split(',').map(str::trim);
    if let Some(word) = words.find(|word| !word.contains('=') && word.parse::<LevelFilter>().is_err()) {
        return Err(refused(format!("{word:?} is no level")));
    }
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| refused(error.to_string()))?;
    let (queue, messages) = sync_channel(QUEUE_LINES);
    thread::Builder::new().name("larder-stderr".to_owned()).spawn(move || write_out(&messages))?;
    let logging = Logging { queue: queue.clone() };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false)
        .with_writer(Lines { queue });
    // An error would only say that there is a subscriber already, and nobody else sets one.
    _ = match format {
        LogFormat::Text => set_global_default(subscriber.finish().with(filter_fn(is_ours))),
        LogFormat::Json => {
            set_global_default(subscriber.json().flatten_event(true).finish().with(filter_fn(is_ours)))
        }
    };
    Ok(logging)
}

/// Whether something is logged by Larder itself. What libraries log holds whatever a client has sent, a path that cannot be
/// read for instance, and so keys and tokens.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("larder")
}

impl Logging {
    /// Waits a moment for what was logged to be written.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

fn write_out(messages: &Receiver<Message>) {
    let mut stderr = io::stderr();
    for message in messages {
        match message {
            Message::Line(line) => _ = stderr.write_all(&line),
            Message::Flush(done) => _ = done.try_send(()),
        }
    }
}

/// Where the formatter writes: each line into the queue.
#[derive(Debug, Clone)]
struct Lines {
    queue: SyncSender<Message>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        _ = self.queue.try_send(Message::Line(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
