//! `messagekit events`.

mod find;
mod outline;
mod show;

use messagekit::Error;

/// Follow an event through databases: its publication, its consumers, its causes and effects.
#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// One event: publication, consumers, failed messages, replays, actions, causes and effects
    Show(show::Show),
    /// Events of a correlation, or those of a key, type and time, oldest first
    Find(find::Find),
}

impl Events {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Show(show) => show.run().await,
            Command::Find(find) => find.run().await,
        }
    }
}
