//! `larder completions`

use clap::Args;
use clap_complete::Shell;

use super::Status;
use super::failure::Failure;
use super::output::Output;

/// Prints what a shell needs to complete the verbs and options of this command.
#[derive(Debug, Args)]
#[command(after_help = "Where it goes, for the shells that look there by themselves:\n\n  \
    larder completions bash > ~/.local/share/bash-completion/completions/larder\n  \
    larder completions fish > ~/.config/fish/completions/larder.fish\n  \
    larder completions zsh > DIR/_larder, DIR being one of $fpath\n\n\
    A shell that is started afterwards has them.")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<Status, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command_line(), "larder", &mut script);
        let mut out = Output::new(false);
        out.text(&String::from_utf8_lossy(&script))?;
        out.flush()?;
        Ok(Status::Done)
    }
}
