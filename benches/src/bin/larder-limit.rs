//! `larder-limit`: the server that does nothing but the protocol, to measure others against.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use larder_benches::limit::{REPLY_BYTES_MAX, REPLY_BYTES_MIN, Replies, reply_bytes, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Answers every line with a constant: what a server costs before it does anything.
#[derive(Debug, Parser)]
#[command(name = "larder-limit", version)]
struct Options {
    /// Where to listen; port 0 takes a free one. The address is printed on stdout.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Worker threads of the runtime.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// Bytes of the reply to a GET, line feed included; the default is that of a 190-byte value.
    #[arg(long, default_value_t = reply_bytes(190), value_parser = parse_reply_bytes)]
    reply_bytes: usize,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder-limit: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads.get())
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listener = TcpListener::bind(options.listen).await?;
        writeln!(io::stdout(), "larder-limit is listening on {}", listener.local_addr()?)?;
        tokio::select! {
            ended = serve(listener, Replies::sized(options.reply_bytes)) => ended,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}

fn parse_reply_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (REPLY_BYTES_MIN..=REPLY_BYTES_MAX).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a number from {REPLY_BYTES_MIN} to {REPLY_BYTES_MAX}")),
    }
}
