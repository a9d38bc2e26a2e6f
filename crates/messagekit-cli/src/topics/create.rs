//! `messagekit topics create`.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use messagekit::{Error, ErrorKind};
use messagekit_schema::{Shape, differences};
use messagekit_topic_store::Pages;
use messagekit_topic_store::TableSources;
use messagekit_topics::operations::{NewTopic, TopicOperations};
use messagekit_topics::{RetentionRule, TopicDefinition, Topics};
use serde_json::{Value, json};

use super::file::{self, Work};
use super::retention::{self, Keep};
use crate::database::Database;
use crate::input::text_of;
use crate::output::{print, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    /// A file with the JSON Schema of its records, - for standard input; without one, any object is taken
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Fields that no two records may have in common, separated by commas
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    dedup: Vec<String>,
    /// The field that is the key of a record
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// The number of partitions
    #[arg(long, value_name = "N", default_value = "1")]
    partitions: NonZeroU32,
    /// Publish its records to a broker, too
    #[arg(long)]
    published: bool,
    #[command(flatten)]
    keep: Keep,
    /// One JSON document instead of a line for people
    #[arg(long)]
    json: bool,
}

/// A topic to be made, with what was read of it before a database is opened, or a file made.
struct Making {
    create: Create,
    schema: Option<Value>,
    rule: Option<RetentionRule>,
}

impl Work for Making {
    async fn run<S: TableSources + Pages>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let Self { create, schema, rule } = self;
        let is_new = create.create(topics, schema.as_ref(), *rule).await?;
        if create.json {
            return print(json!({ "topic": create.topic, "created": is_new }));
        }
        let topic = printable(&create.topic);
        if is_new {
            print(format_args!("topic {topic} created"))
        } else {
            print(format_args!("topic {topic} has these rules already"))
        }
    }
}

impl Create {
    pub(super) async fn run(self) -> Result<(), Error> {
        let schema = self.schema.as_deref().map(read).transpose()?;
        let rule = self.keep.rule()?;
        let database = self.database.clone();
        file::work_or_make(&database, &Making { create: self, schema, rule }).await
    }

    /// Returns whether the topic was made; fails when it has other rules.
    async fn create<S: TableSources + Pages>(
        &self,
        topics: &Topics<S>,
        schema: Option<&Value>,
        rule: Option<RetentionRule>,
    ) -> Result<bool, Error> {
        let mut new = NewTopic::named(self.topic.as_str());
        (new.partitions, new.retention, new.is_published) = (self.partitions, rule, self.published);
        (new.key, new.dedup, new.schema) = (self.key.clone(), self.dedup.clone(), schema.cloned());
        let is_new = topics.create_topic(&new).await?;
        // What was there may have other rules.
        self.compare(&file::definition(topics, &self.topic).await?, schema, rule)?;
        Ok(is_new)
    }

    /// Fails with everything that differs.
    fn compare(
        &self,
        stored: &TopicDefinition,
        schema: Option<&Value>,
        rule: Option<RetentionRule>,
    ) -> Result<(), Error> {
        let mut found = Vec::new();
        let mut dedup = self.dedup.clone();
        dedup.sort_unstable();
        let list = |fields: &[String]| if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
        if stored.dedup != dedup {
            found.push(format!("dedup is {} there and {} here", list(&stored.dedup), list(&dedup)));
        }
        let field = |field: &Option<String>| field.clone().unwrap_or_else(|| "none".to_owned());
        if stored.key != self.key {
            found.push(format!("key is {} there and {} here", field(&stored.key), field(&self.key)));
        }
        if stored.partitions != self.partitions.get() {
            found.push(format!("partitions are {} there and {} here", stored.partitions, self.partitions));
        }
        if stored.is_published != self.published {
            let ways = |is_published| if is_published { "published" } else { "kept here" };
            found.push(format!(
                "it is {} there and {} here",
                ways(stored.is_published),
                ways(self.published)
            ));
        }
        if stored.retention != rule {
            let (theirs, ours) = (retention::text(stored.retention.as_ref()), retention::text(rule.as_ref()));
            found.push(format!("retention is {theirs} there and {ours} here"));
        }
        match (stored.json_schema()?, schema) {
            (None, None) => {}
            (Some(_), None) => found.push("there is a schema there and none here".to_owned()),
            (None, Some(_)) => found.push("there is no schema there and one here".to_owned()),
            (Some(theirs), Some(ours)) => {
                let differences = differences(&Shape::of_schema(&theirs)?, &Shape::of_schema(ours)?);
                found.extend(differences.iter().map(ToString::to_string));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let text = format!("topic has other rules: {}", found.join("; "));
        Err(Error::new(ErrorKind::SchemaMismatch, text).with("topic", &self.topic))
    }
}

fn read(path: &Path) -> Result<Value, Error> {
    let here = |kind, text: &'static str| Error::new(kind, text).with("path", path.display());
    let text =
        text_of(path).map_err(|error| here(ErrorKind::NotFound, "schema cannot be read").caused_by(error))?;
    serde_json::from_str(&text)
        .map_err(|error| here(ErrorKind::InvalidEvent, "schema is no JSON").caused_by(error))
}
