//! `messagekit topics drop`.

use messagekit::Error;
use messagekit_topic_store::TopicStore;
use messagekit_topics::Topics;
use serde_json::json;

use super::file::{self, Work};
use crate::confirm::confirm;
use crate::database::Database;
use crate::output::{number, print, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Drop {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    /// Drop the tables that feed it as sources, too; the tables stay
    #[arg(long)]
    with_sources: bool,
    /// Ask no confirmation
    #[arg(long)]
    yes: bool,
    /// One JSON document instead of a line for people
    #[arg(long)]
    json: bool,
}

impl Work for Drop {
    async fn run<S: TopicStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let records = file::topic(topics, &self.topic).await?.count().await?.all;
        let topic = printable(&self.topic);
        confirm(&format!("drop topic {topic} with {} records", number(records)), self.yes)?;
        match self.with_sources {
            true => topics.drop_with_sources(self.topic.as_str()).await?,
            false => topics.drop(self.topic.as_str()).await?,
        }
        if self.json {
            return print(json!({ "topic": self.topic, "records": records }));
        }
        print(format_args!("topic {topic} is dropped; records deleted: {}", number(records)))
    }
}

impl Drop {
    pub(super) async fn run(self) -> Result<(), Error> {
        file::work(&self.database, &self).await
    }
}
