//! `larder man`

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man as Page;

use super::Status;
use super::failure::Failure;
use super::output::Output;

/// Prints the manual page of this command, or writes the pages of all verbs into a directory.
#[derive(Debug, Args)]
#[command(
    after_help = "With `larder man ~/.local/share/man/man1`, `man larder` and `man larder-get` find them. Without a directory: \
    `larder man | man -l -`."
)]
pub(crate) struct Man {
    /// Directory to write the pages into; made if it is missing
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self) -> Result<Status, Failure> {
        // `larder help VERB` shows what the page of the verb says.
        let mut command = crate::command_line().mut_subcommand("help", |help| help.hide(true));
        match &self.directory {
            Some(directory) => write_all(&mut command, directory)
                .map_err(|source| Failure::File { path: directory.clone(), source })?,
            None => {
                let mut out = Output::new(false);
                out.text(&page(command).map_err(Failure::Output)?)?;
                out.flush()?;
            }
        }
        Ok(Status::Done)
    }
}

fn write_all(command: &mut Command, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("larder-{}", verb.get_name());
        // The name under which `man` finds it is also the one that it shows.
        fs::write(directory.join(format!("{name}.1")), page(verb.clone().display_name(name))?)?;
    }
    fs::write(directory.join("larder.1"), page(command.clone())?)
}

fn page(command: Command) -> io::Result<String> {
    let mut page = Vec::new();
    let source = format!("larder {}", env!("CARGO_PKG_VERSION"));
    Page::new(command).source(source).manual("Larder").render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
