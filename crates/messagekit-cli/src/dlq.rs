//! `messagekit dlq`.

mod act;
mod chosen;
mod groups;
mod json;
mod list;
mod show;
mod state;

use messagekit::{Act, Error};

/// List, group, show, retry and discard dead letters.
#[derive(Debug, clap::Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The newest dead letters, newest first
    List(list::List),
    /// Letters that failed alike, the largest group first
    Groups(groups::Groups),
    /// One dead letter, whole
    Show(show::Show),
    /// Have dead letters run once more
    Retry(act::Letters),
    /// Give open letters up: their messages are never applied
    Discard(act::Letters),
    /// Take discards back: the letters are dead again
    Undo(act::Letters),
}

impl Dlq {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Groups(groups) => groups.run().await,
            Command::Show(show) => show.run().await,
            Command::Retry(letters) => letters.run(Act::Retry).await,
            Command::Discard(letters) => letters.run(Act::Discard).await,
            Command::Undo(letters) => letters.run(Act::Undo).await,
        }
    }
}
