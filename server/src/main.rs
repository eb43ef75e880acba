//! The `larder` binary: the server and the command line, told apart by the first argument.

mod backup;
mod cli;
mod command;
mod connection;
mod serve;
mod shared;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Id, Parser, Subcommand};

/// A small, durable key-value store for JSON entries with expiry.
#[derive(Parser)]
#[command(
    name = "larder",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 found or done, 1 not found or a condition did not hold, 2 the command line or the \
    input is wrong, 3 the server or the way to it failed. Of `larder serve`: 0 stopped in order, 1 it could not start \
    or not stop in order, 2 the configuration is wrong."
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

/// Reads the command line, or ends with what is wrong with it.
fn parse() -> Larder {
    let mut command = Larder::command();
    // The options of the other verbs are global; only from here on are they found, and hidden, at this one.
    command.build();
    let hide_global = |arg: Arg| if arg.is_global_set() { arg.hide(true) } else { arg };
    let mut command = command.mut_subcommand("serve", |serve| serve.mut_args(hide_global));
    let matches = command.get_matches_mut();
    if let Some(option) = target_of_server(&command, &matches) {
        let text = format!("`larder serve` has no option --{option}; see `larder help serve`");
        command.error(ErrorKind::UnknownArgument, text).exit();
    }
    Larder::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// An option for talking to a server that was given to the server itself.
fn target_of_server<'c>(command: &'c Command, matches: &ArgMatches) -> Option<&'c Id> {
    let serve = matches.subcommand_matches("serve")?;
    let mut options = command.get_arguments().filter(|arg| arg.is_global_set()).map(Arg::get_id);
    options.find(|option| serve.value_source(option.as_str()) == Some(ValueSource::CommandLine))
}
