//! `messagekit topics show`.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::SCATTERED_FOUND;
use messagekit_topic_store::{MAX_CLAIM_RANGES, PipelineStore};
use messagekit_topics::{TopicEnds, TopicStatus, Topics};
use serde_json::{Value, json};

use super::file::{self, Work};
use super::retention;
use crate::database::Database;
use crate::output::{number, or_none, print, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    /// The consumer whose view is wanted [default: default]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    consumer: Option<String>,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Work for Show {
    async fn run<S: PipelineStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let definition = file::definition(topics, &self.topic).await?;
        let status = topics.status(&definition, self.consumer.as_deref()).await?;
        let ends = topics.ends(self.topic.as_str()).await?;
        let schema = definition.json_schema()?;
        if !self.json {
            return print(text(&status, ends, schema.as_ref()));
        }
        let mut document = serde_json::to_value(&status)
            .map_err(|error| Error::new(ErrorKind::Other, "topic cannot be printed").caused_by(error))?;
        document["schema"] = schema.unwrap_or(Value::Null);
        document["first_at"] = json!(ends.map(|ends| ends.first));
        document["last_at"] = json!(ends.map(|ends| ends.last));
        print(document)
    }
}

impl Show {
    pub(super) async fn run(self) -> Result<(), Error> {
        file::work(&self.database, &self).await
    }
}

fn kept(records: u64, ends: Option<TopicEnds>) -> String {
    let records = number(records);
    ends.map_or(records.clone(), |ends| format!("{records}, from {} until {}", ends.first, ends.last))
}

/// Returns a line about claims that are scattered.
fn claims(ranges: u64) -> Option<String> {
    let is_scattered = ranges >= SCATTERED_FOUND as u64;
    let (ranges, most) = (number(ranges), number(MAX_CLAIM_RANGES as u64));
    is_scattered.then(|| {
        format!(
            "claims      in {ranges} separate ranges of a partition; at {most} no new records are claimed"
        )
    })
}

fn text(topic: &TopicStatus, ends: Option<TopicEnds>, schema: Option<&Value>) -> String {
    let records = topic.records;
    let schema = match schema {
        None => "none: any object is taken".to_owned(),
        // Line by line: a line break is no character that a terminal must not get.
        Some(schema) => format!("{schema:#}").lines().map(printable).collect::<Vec<_>>().join("\n"),
    };
    let mut lines = vec![
        format!("topic       {}", printable(&topic.topic)),
        format!("partitions  {}", topic.partitions),
        format!("dedup       {}", or_none(&topic.dedup.join(", "))),
        format!("key         {}", or_none(topic.key.as_deref().unwrap_or(""))),
        format!("keeps       {}", retention::text(topic.retention.as_ref())),
        format!("migrated    {} times", topic.version),
        format!("records     {}", kept(records.all, ends)),
        format!(
            "consumer    {}: {} new, {} handled, {} dead, {} deleted before",
            printable(&topic.consumer),
            number(records.new),
            number(records.handled),
            number(records.dead),
            number(records.expired)
        ),
    ];
    lines.extend(claims(records.claim_ranges));
    lines.push(format!("schema      {schema}"));
    lines.join("\n")
}
