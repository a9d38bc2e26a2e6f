//! `messagekit topics plot`.

use messagekit::Error;
use messagekit::operations::Operations;
use messagekit_topic_store::PipelineStore;
use messagekit_topics::Topics;

use super::file::{self, Work};
use crate::database::Database;
use crate::output::print;

#[derive(Debug, clap::Args)]
pub(super) struct Plot {
    #[command(flatten)]
    database: Database,
}

impl Work for Plot {
    async fn run<S: PipelineStore + Operations>(&self, topics: &Topics<S>) -> Result<(), Error> {
        print(topics.plot().await?)
    }
}

impl Plot {
    pub(super) async fn run(self) -> Result<(), Error> {
        file::work(&self.database, &self).await
    }
}
