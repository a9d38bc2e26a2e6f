//! `messagekit topics list`.

use messagekit::Error;
use messagekit_topic_store::TopicStore;
use messagekit_topics::{TopicStatus, Topics};
use serde_json::json;

use super::file::{self, Work};
use crate::database::Database;
use crate::output::{number, or_none, print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    /// The consumer whose view is wanted [default: default]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    consumer: Option<String>,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Work for List {
    async fn run<S: TopicStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let mut found = Vec::new();
        for definition in topics.definitions().await? {
            found.push(topics.status(&definition, self.consumer.as_deref()).await?);
        }
        if self.json {
            return print(json!({ "topics": found }));
        }
        if found.is_empty() {
            return print(
                "no topics; those of events are not listed here: `messagekit events find` finds their events",
            );
        }
        let mut rows = table(&["topic", "partitions", "records", "new", "handled", "dead", "dedup", "key"]);
        for topic in &found {
            rows.add_row(row(topic));
        }
        print(rows)
    }
}

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        file::work(&self.database, &self).await
    }
}

fn row(topic: &TopicStatus) -> [String; 8] {
    let records = topic.records;
    [
        printable(&topic.topic),
        topic.partitions.to_string(),
        number(records.all),
        number(records.new),
        number(records.handled),
        number(records.dead),
        or_none(&topic.dedup.join(", ")),
        or_none(topic.key.as_deref().unwrap_or("")),
    ]
}
