//! `messagekit schema`.

mod check;
mod documents;
mod export;

use messagekit::Error;

#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Compare with a baseline; exit code 1 if a change would break who reads or writes the events
    Check(check::Check),
    /// Add new versions to a baseline, after the same comparison
    Export(export::Export),
}

impl Schema {
    pub(crate) fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Check(check) => check.run(),
            Command::Export(export) => export.run(),
        }
    }
}
