//! `messagekit outbox`.

mod action;
mod list;
mod unpublished;

use messagekit::Error;
use messagekit::relay::RejectedAction;

/// Manage the unpublished events of an outbox.
#[derive(Debug, clap::Args)]
pub(crate) struct Outbox {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Pending events, oldest first, and then delayed ones
    List(unpublished::List),
    /// List, retry and discard events that the broker has rejected
    Rejected(Rejected),
}

#[derive(Debug, clap::Args)]
struct Rejected {
    #[command(subcommand)]
    command: OnRejected,
}

#[derive(Debug, clap::Subcommand)]
enum OnRejected {
    /// The events that the broker has rejected, the first one first
    List(list::List),
    /// Put events, and the later ones of their keys, back into the outbox: the relay publishes them next, in order
    Retry(action::Events),
    /// Give events up: they are never published, and the later ones of their keys continue
    Discard(action::Events),
}

impl Outbox {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let rejected = match self.command {
            Command::List(list) => return list.run().await,
            Command::Rejected(rejected) => rejected,
        };
        match rejected.command {
            OnRejected::List(list) => list.run().await,
            OnRejected::Retry(events) => events.run(RejectedAction::Retry).await,
            OnRejected::Discard(events) => events.run(RejectedAction::Discard).await,
        }
    }
}
