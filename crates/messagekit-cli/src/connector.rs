//! `messagekit connector`: Debezium's connector of the outbox.

mod apply;
mod delete;
mod status;
pub(crate) mod target;
mod template;
mod worker;

use messagekit::Error;

/// Render, apply, watch and delete the connector that publishes the outbox.
#[derive(Debug, clap::Args)]
pub(crate) struct Connector {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the connector's settings, without a password
    Render(template::Render),
    /// Create or change the connector, and wait until it reads
    Apply(apply::Apply),
    /// Check connector, slot, publication and rights
    Status(status::Status),
    /// Delete the connector, and with --slot its slot and publication
    Delete(delete::Delete),
}

impl Connector {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Render(render) => render.run(),
            Command::Apply(apply) => apply.run().await,
            Command::Status(status) => status.run().await,
            Command::Delete(delete) => delete.run().await,
        }
    }
}
