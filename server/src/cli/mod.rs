//! The command line's verbs: each sends a request or two to a running server and shows what came back. `restore`,
//! `verify`, `salvage`, and `backup` of a stopped store, work on directories and need no server; `doctor` looks at whatever is there,
//! and `completions` and `man` describe this command itself.
//!
//! Three readers are served. A person at a terminal gets tables, indented JSON and times in words; a pipe gets bare
//! values and tab-separated columns; `--json` gives one JSON object a line, wherever it goes. Values are never
//! parsed into a tree on their way, so their digits and the order of their keys are those of the store.

mod backup;
mod compact;
mod completions;
mod count;
mod del;
mod doctor;
mod entry;
mod expiry;
mod export;
mod failure;
mod findings;
mod get;
mod import;
mod incr;
mod input;
mod key;
mod ls;
mod man;
mod manager;
mod namespaces;
mod object;
mod org;
mod output;
mod patch;
mod ping;
mod pretty;
mod progress;
mod restore;
mod salvage;
mod session;
mod set;
mod shell;
mod stats;
mod table;
mod touch;
mod ttl;
mod txn;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use session::Target;

/// The verbs beside `serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Prints a value
    Get(get::Get),
    /// Creates or replaces an entry
    Set(Box<set::Set>),
    /// Deletes an entry, or all whose keys begin alike
    Del(del::Del),
    /// Adds to a number
    Incr(incr::Incr),
    /// Merges a JSON merge patch into a value
    Patch(patch::Patch),
    /// Carries out a transaction
    Txn(txn::Txn),
    /// Lists keys, sorted
    Ls(ls::Ls),
    /// Counts entries
    Count(count::Count),
    /// Lists the namespaces that hold entries
    Namespaces(namespaces::Namespaces),
    /// Tells how long an entry still lives
    Ttl(ttl::TimeToLive),
    /// Gives an entry a new expiry
    Touch(touch::Touch),
    /// Takes the expiry from an entry
    Persist(touch::Persist),
    /// Shows an entry with all its fields
    Entry(entry::Entry),
    /// Prints changes as they happen
    Watch(watch::Watch),
    /// Speaks the line protocol at a prompt
    Shell(shell::Shell),
    /// Stores entries read as JSON lines
    Import(import::Import),
    /// Writes entries as JSON lines that `import` reads
    Export(export::Export),
    /// Backs up the server's store, or a stopped one
    Backup(backup::Backup),
    /// Makes a new store of a backup
    Restore(restore::Restore),
    /// Has the server give unused disk space back now
    Compact(compact::Compact),
    /// Asks whether the server is there
    Ping(ping::Ping),
    /// Shows counters and sizes of the server
    Stats(stats::Stats),
    /// Manages organizations: who shares the server without seeing of each other
    #[command(subcommand)]
    Org(org::Org),
    /// Manages access keys
    #[command(subcommand)]
    Key(key::Key),
    /// Tells whether a store directory is intact
    Verify(verify::Verify),
    /// Copies what is intact in a store directory into a new store
    Salvage(salvage::Salvage),
    /// Tells what is wrong with a setup
    Doctor(doctor::Doctor),
    /// Prints completions for a shell
    Completions(completions::Completions),
    /// Prints or writes manual pages
    Man(man::Man),
}

/// How a verb ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Found, or done.
    Done,
    /// Not found, or a condition did not hold.
    No,
}

/// Runs a verb. The exit code is 0 when found or done, 1 when not found or refused by a condition, 2 when what was
/// asked for is wrong, 3 when the server or the way to it fails, or a store cannot be read.
pub(crate) fn run(verb: Verb, target: &Target) -> ExitCode {
    let result = match verb {
        Verb::Get(verb) => verb.run(target),
        Verb::Set(verb) => verb.run(target),
        Verb::Del(verb) => verb.run(target),
        Verb::Incr(verb) => verb.run(target),
        Verb::Patch(verb) => verb.run(target),
        Verb::Txn(verb) => verb.run(target),
        Verb::Ls(verb) => verb.run(target),
        Verb::Count(verb) => verb.run(target),
        Verb::Namespaces(verb) => verb.run(target),
        Verb::Ttl(verb) => verb.run(target),
        Verb::Touch(verb) => verb.run(target),
        Verb::Persist(verb) => verb.run(target),
        Verb::Entry(verb) => verb.run(target),
        Verb::Watch(verb) => verb.run(target),
        Verb::Shell(verb) => verb.run(target),
        Verb::Import(verb) => verb.run(target),
        Verb::Export(verb) => verb.run(target),
        Verb::Backup(verb) => verb.run(target),
        Verb::Restore(verb) => verb.run(target),
        Verb::Compact(verb) => verb.run(target),
        Verb::Ping(verb) => verb.run(target),
        Verb::Stats(verb) => verb.run(target),
        Verb::Org(verb) => verb.run(target),
        Verb::Key(verb) => verb.run(target),
        Verb::Verify(verb) => verb.run(target),
        Verb::Salvage(verb) => verb.run(target),
        Verb::Doctor(verb) => verb.run(target),
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(),
    };
    match result {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::No) => ExitCode::from(1),
        // Whoever closed the output, as `head` does, has what they wanted.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
