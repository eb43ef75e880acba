//! The `larder` binary: the server and the command line, told apart by the first argument.

mod cli;
mod command;
mod connection;
mod serve;
mod shared;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A small, durable key-value store for JSON entries with expiry.
#[derive(Parser)]
#[command(name = "larder", version, max_term_width = 100)]
struct Larder {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the server.
    Serve(Box<serve::Arguments>),
    #[command(flatten)]
    Client(cli::Verb),
}

fn main() -> ExitCode {
    match Larder::parse().verb {
        Verb::Serve(arguments) => serve::run(*arguments),
        Verb::Client(verb) => cli::run(verb),
    }
}
