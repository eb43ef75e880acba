//! The `larder` binary: the server and the command line, told apart by the first argument.

mod access;
mod backup;
mod cli;
mod command;
mod compaction;
mod connection;
mod http;
mod metrics;
mod purge;
mod rooms;
mod seldom;
mod serve;
mod shared;
mod stream;
mod terms;
mod tls;
mod upkeep;
mod watchers;
mod watching;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

/// A small, durable key-value store for JSON entries with expiry.
#[derive(Parser)]
#[command(
    name = "larder",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 found or done, 1 not found or a condition did not hold, 2 the command line or the \
    input is wrong, 3 the server or the way to it failed. Of `larder verify` and `larder salvage`: 0 all is intact or saved, 1 something \
    is damaged or lost, 3 the store cannot be read. Of `larder doctor`: 0 nothing is wrong, 1 something is. Of `larder serve`: 0 stopped \
    in order, 1 it could not start or not stop in order, 2 the configuration is wrong."
)]
struct Larder {
    #[command(flatten)]
    target: cli::Target,
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
    let Larder { target, verb } = parse();
    match verb {
        Verb::Serve(arguments) => serve::run(*arguments),
        Verb::Client(verb) => cli::run(verb, &target),
    }
}

/// The command line: each verb with its own options, and those that all have but it has not hidden.
fn command_line() -> Command {
    let mut command = Larder::command();
    // The options of the other verbs are global; only from here on are they found, and hidden, at this one.
    command.build();
    for (verb, _) in SOLITARY {
        let hide = |arg: Arg| if is_foreign(&arg, verb) { arg.hide(true) } else { arg };
        command = command.mut_subcommand(verb, |verb| verb.mut_args(hide));
    }
    command
}

/// Reads the command line, or ends with what is wrong with it.
fn parse() -> Larder {
    let mut command = command_line();
    let matches = command.get_matches_mut();
    if let Some((verb, option)) = foreign_option(&command, &matches) {
        let text = format!("`larder {verb}` has no option --{option}; see `larder help {verb}`");
        command.error(ErrorKind::UnknownArgument, text).exit();
    }
    Larder::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The verbs that have not all of the global options, each with those that it has.
const SOLITARY: [(&str, &[&str]); 7] = [
    ("serve", &[]),
    ("verify", &["json"]),
    ("salvage", &["json"]),
    ("shell", &["addr", "ns", "token", "token_file", "tls_ca", "tls_name"]),
    ("doctor", &["addr", "token", "token_file", "tls_ca", "tls_name", "json"]),
    ("completions", &[]),
    ("man", &[]),
];

/// Whether an option is one that the other verbs have, and this one has not.
fn is_foreign(arg: &Arg, verb: &str) -> bool {
    let own = SOLITARY.iter().find(|(solitary, _)| *solitary == verb).map(|(_, own)| *own);
    arg.is_global_set() && own.is_some_and(|own| !own.contains(&arg.get_id().as_str()))
}

/// A global option that was given to a verb that has not got it.
fn foreign_option<'c>(command: &'c Command, matches: &'c ArgMatches) -> Option<(&'c str, &'c str)> {
    let (verb, given) = matches.subcommand()?;
    let mut options = command.get_arguments().filter(|arg| is_foreign(arg, verb));
    let is_given = |arg: &Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    Some((verb, options.find(|arg| is_given(arg))?.get_long()?))
}
