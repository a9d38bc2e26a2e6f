//! `messagekit events show`.

use messagekit::{Error, MessageId};

use super::outline;
use crate::databases::Databases;
use crate::output::{print, print_json};

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    databases: Databases,
    /// The event's id
    id: MessageId,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self) -> Result<(), Error> {
        let document = self.databases.overview().await?.event(&self.id).await?;
        if self.json {
            return print_json(&document);
        }
        print(outline::lines(&document).join("\n"))
    }
}
