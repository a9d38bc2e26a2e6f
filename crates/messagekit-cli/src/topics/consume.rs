//! `messagekit topics consume`.

use futures_util::{Stream, StreamExt};
use messagekit::{Backoff, Error, ErrorKind, Shutdown, chain};
use messagekit_topic_store::TopicStore;
use messagekit_topics::{Record, Topic, Topics};
use serde_json::value::RawValue;
use tracing_subscriber::filter::LevelFilter;

use super::claims::{Claims, Consumption};
use super::export::line;
use super::file::{self, Work};
use super::lines::{FAILED, Lines, Reader};
use crate::database::Database;
use crate::output::printable;

#[derive(Debug, clap::Args)]
pub(super) struct Consume {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    /// The consumer, with its own view of what is new
    #[arg(long, default_value = "default", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    consumer: String,
    /// Wait for records that any process appends, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// At most this many
    #[arg(long, alias = "limit", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Leave the records new
    #[arg(long)]
    no_ack: bool,
    /// Whole records with id, partition, offset and times, instead of their data
    #[arg(long)]
    records: bool,
    #[command(flatten)]
    claims: Claims,
}

impl Work for Consume {
    async fn run<S: TopicStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        // What the consumer has lost is a warning.
        let _telemetry = crate::log::begin(LevelFilter::WARN)?;
        // Before the file is opened: a signal ends the command cleanly from here on.
        let interrupted = Shutdown::on_signal()?;
        if let Some(most) = self.claims.most() {
            let (topic, consumer) = (self.topic.as_str(), self.consumer.as_str());
            let (claims, follows, max) = (self.claims, self.follow, self.max);
            let consumption = Consumption { topic, consumer, claims, follows, max, as_records: self.records };
            return consumption.run(topics, most, &interrupted).await;
        }
        let topic = file::topic(topics, &self.topic).await?.named(self.consumer.as_str());
        if self.follow {
            self.consume(&topic, topic.follow(), &interrupted).await
        } else {
            self.consume(&topic, topic.iter_new(), &interrupted).await
        }
    }
}

impl Consume {
    pub(super) async fn run(self) -> Result<(), Error> {
        file::work(&self.database, &self).await
    }

    async fn consume(
        &self,
        topic: &Topic<Box<RawValue>, impl TopicStore>,
        mut records: impl Stream<Item = Result<Record<Box<RawValue>>, messagekit_topics::Error>> + Unpin,
        interrupted: &Shutdown,
    ) -> Result<(), Error> {
        let mut lines = Lines::to_stdout();
        let mut left = self.max.unwrap_or(u64::MAX);
        while left > 0 {
            let next = tokio::select! {
                biased;
                () = interrupted.requested() => return Ok(()),
                next = records.next() => next,
            };
            let record = match next {
                None => return Ok(()),
                Some(Err(error)) if error.kind() == ErrorKind::Undecodable => {
                    self.give_up(topic, error.into()).await?;
                    continue;
                }
                Some(record) => record?,
            };
            lines.write(if self.records { line(&record)? } else { record.data.get().to_owned() })?;
            // A record without a reader stays new.
            if lines.flush()? == Reader::Gone {
                return Ok(());
            }
            // A record that stays open is no end of `--max`: each call would print it alone.
            if self.no_ack || self.acknowledge(topic, &record, interrupted).await? {
                left -= 1;
            }
        }
        Ok(())
    }

    /// Keeps a record without JSON data as a failed message, and says so. With `--no-ack` it stays new.
    async fn give_up(
        &self,
        topic: &Topic<Box<RawValue>, impl TopicStore>,
        error: Error,
    ) -> Result<(), Error> {
        let id = error.context("record").and_then(|id| id.parse().ok());
        if let (Some(id), false) = (id, self.no_ack) {
            match topic.give_up(id, &chain(&error)).await {
                // It stays new, and comes again.
                Err(outage) if self.follow && outage.is_transient() => {
                    tracing::warn!(error = %outage, "record cannot be kept as a failed message");
                    return Ok(());
                }
                given_up => given_up?,
            }
        }
        let dead = if self.no_ack { "" } else { FAILED };
        eprintln!("{}{dead}", printable(&chain(&error)));
        Ok(())
    }

    /// Acknowledges a record, and returns false if a pipeline of the same name has failed on it: an operator decides about that. A command
    /// that follows waits for a database that does not answer.
    async fn acknowledge(
        &self,
        topic: &Topic<Box<RawValue>, impl TopicStore>,
        record: &Record<Box<RawValue>>,
        interrupted: &Shutdown,
    ) -> Result<bool, Error> {
        let mut outages = 0;
        loop {
            match topic.ack(record).await {
                Err(error) if self.follow && error.is_transient() && !interrupted.is_requested() => {
                    outages += 1;
                    tracing::warn!(%error, "record cannot be acknowledged: trying again");
                    let wait = tokio::time::sleep(Backoff::OUTAGE.delay(outages));
                    tokio::select! { () = wait => {}, () = interrupted.requested() => {} }
                }
                Err(error) if error.kind() == ErrorKind::WrongState => {
                    eprintln!(
                        "{error}: messagekit dlq list --state open --consumer {}",
                        printable(&self.consumer)
                    );
                    return Ok(false);
                }
                acknowledged => return Ok(acknowledged.map(|()| true)?),
            }
        }
    }
}
