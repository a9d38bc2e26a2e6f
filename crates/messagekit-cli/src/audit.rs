//! `messagekit audit`.

mod list;

use messagekit::Error;

/// Read what operators did.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Actions of operators, newest first
    List(list::List),
}

impl Audit {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let Command::List(list) = self.command;
        list.run().await
    }
}
