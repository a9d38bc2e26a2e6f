//! `messagekit replay`.

mod bench;
mod cancel;
mod chosen;
mod count;
mod cursor;
mod events;
mod follow;
mod job;
mod list;
mod ordered;
mod read;
mod show;
mod start;

use messagekit::Error;

/// Read topics in the order of their time; list stored events, and publish them again.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read topics in the order of their time, as lines of JSON, CSV, Arrow or Parquet
    Read(read::Read),
    /// Measure how fast topics are read in the order of their time, and check that order
    Bench(bench::Bench),
    /// The stored events, oldest first
    Events(events::Events),
    /// Count the events of a replay, and publish nothing
    Count(count::Count),
    /// Publish events again, and show the progress
    Start(start::Start),
    /// The newest replays, newest first
    List(list::List),
    /// The progress of a replay
    Show(show::Show),
    /// Stop a replay; published events stay published
    Cancel(cancel::Cancel),
}

impl Replay {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Read(read) => read.run().await,
            Command::Bench(bench) => bench.run().await,
            Command::Events(events) => events.run().await,
            Command::Count(count) => count.run().await,
            Command::Start(start) => start.run().await,
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Cancel(cancel) => cancel.run().await,
        }
    }
}
