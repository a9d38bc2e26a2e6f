//! `messagekit topics retention`, and the options of a rule.

use std::num::NonZeroU64;
use std::time::Duration;

use jiff::SignedDuration;
use messagekit::Error;
use messagekit_topic_store::TopicStore;
use messagekit_topics::{RetentionRule, Topics};
use serde_json::json;

use super::file::{self, Work};
use crate::database::Database;
use crate::input::span;
use crate::output::{number, print, printable};

/// How long records are kept; for ever without an option.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Keep {
    /// Delete records of this age
    #[arg(long, value_name = "TIME", value_parser = span)]
    max_age: Option<Duration>,
    /// Delete the oldest records of a partition while it holds more bytes
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<NonZeroU64>,
    /// Delete no record before every consumer has handled it
    #[arg(long)]
    keep_unhandled: bool,
    /// Delete records of this age although a consumer has not handled them
    #[arg(long, value_name = "TIME", value_parser = span, requires = "keep_unhandled")]
    unhandled_max_age: Option<Duration>,
}

impl Keep {
    /// Returns the rule, if an option is given.
    pub(super) fn rule(self) -> Result<Option<RetentionRule>, Error> {
        let Self { max_age, max_bytes, keep_unhandled, unhandled_max_age } = self;
        let max_bytes = max_bytes.map(NonZeroU64::get);
        let rule = RetentionRule { max_age, max_bytes, keep_unhandled, unhandled_max_age };
        if max_age.is_none() && max_bytes.is_none() && !keep_unhandled {
            return Ok(None);
        }
        rule.check()?;
        Ok(Some(rule))
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Retention {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    #[command(flatten)]
    keep: Keep,
    /// One JSON document instead of a line for people
    #[arg(long)]
    json: bool,
}

impl Work for Retention {
    async fn run<S: TopicStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let rule = self.keep.rule()?;
        let expire = async || {
            let topic = file::topic(topics, &self.topic).await?;
            topic.set_retention(rule).await?;
            Ok::<_, Error>(topic.expire().await?)
        };
        let outcome = expire().await;
        let deleted = outcome?;
        if self.json {
            return print(json!({ "topic": self.topic, "retention": rule, "deleted": deleted }));
        }
        let topic = printable(&self.topic);
        print(format_args!(
            "topic {topic} keeps {}; records deleted: {}",
            text(rule.as_ref()),
            number(deleted)
        ))
    }
}

impl Retention {
    pub(super) async fn run(self) -> Result<(), Error> {
        // Before a database is opened.
        self.keep.rule()?;
        file::work(&self.database, &self).await
    }
}

/// Returns a rule for people.
pub(super) fn text(rule: Option<&RetentionRule>) -> String {
    let Some(rule) = rule else { return "all records".to_owned() };
    let span = |age| format!("{:#}", SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX));
    let limits = [
        rule.max_age.map(|age| format!("records of the last {}", span(age))),
        rule.max_bytes.map(|bytes| format!("at most {} bytes per partition", number(bytes))),
        rule.keep_unhandled.then(|| match rule.unhandled_max_age {
            None => "what a consumer has not handled".to_owned(),
            Some(age) => format!("what a consumer has not handled, for {}", span(age)),
        }),
    ];
    limits.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
