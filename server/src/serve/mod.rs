//! `larder serve`: from the configuration to a listening server, and back down in order.
//!
//! Standard output gets one line, when the server is ready; everything else is logged to standard error. Neither is
//! needed: a server whose output is closed or full serves on.

mod arguments;
mod config;
mod descriptors;
mod listener;
mod logging;
mod notify;
mod opening;
mod run;
mod setup;
mod units;

use std::io::Write;
use std::process::ExitCode;

pub(crate) use arguments::Arguments;
use config::Config;
pub(crate) use setup::Setup;

/// Exit code of a configuration that cannot be used, as of a command line that cannot.
const USAGE: u8 = 2;
/// Exit code of a server that could not start, or not stop in order.
const FAILURE: u8 = 1;

/// Runs the server until it is told to stop.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let config = match Config::resolve(arguments) {
        Ok(config) => config,
        Err(error) => return give_up(USAGE, &error.to_string()),
    };
    let logging = match logging::start(&config.log, config.log_format) {
        Ok(logging) => logging,
        Err(error) => return give_up(USAGE, &error.to_string()),
    };
    let outcome = run::run(&config);
    logging.flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => give_up(FAILURE, &error.to_string()),
    }
}

/// Says why the server does not run, to whoever still listens.
fn give_up(code: u8, text: &str) -> ExitCode {
    _ = writeln!(std::io::stderr(), "larder: {}", text.trim_end());
    ExitCode::from(code)
}
