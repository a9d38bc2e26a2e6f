//! `messagekit dlq`.

mod action;
mod chosen;
mod groups;
mod list;
mod request;
mod runners;
mod selected;
mod show;
mod state;
mod totals;

use messagekit::Error;
use messagekit::operations::Action;

/// List, group, show, retry and discard failed messages.
#[derive(Debug, clap::Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The newest failed messages, newest first
    List(list::List),
    /// Open failed messages grouped by their fingerprint, the largest group first
    Groups(groups::Groups),
    /// One failed message, whole
    Show(show::Show),
    /// Run failed messages now: dead ones once more, those that wait for their time before it
    Retry(action::Retry),
    /// Give open failed messages up: their messages are never applied
    Discard(action::Selection),
    /// Undo discards: the failed messages are dead, or blocked by their key
    Undo(action::Selection),
}

impl Dlq {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Groups(groups) => groups.run().await,
            Command::Show(show) => show.run().await,
            Command::Retry(retry) => retry.run().await,
            Command::Discard(failed_messages) => failed_messages.run(Action::Discard).await,
            Command::Undo(failed_messages) => failed_messages.run(Action::Undo).await,
        }
    }
}
