//! What the commands that read topics in the order of their time have in common: sources, bounds, and polling.

mod ending;
#[cfg(test)]
mod ending_tests;
mod logs;
mod polling;
mod source;
mod until;

use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::{OrderedReader, OrderedReaderBuilder};
use messagekit::{Error, ErrorKind, Shutdown};

use self::logs::Logs;
pub(super) use self::logs::Open;
pub(super) use self::polling::Polling;
use self::source::{Source, source};
use self::until::{Until, until};
use crate::input::{moment, span};

#[derive(Debug, clap::Args)]
pub(super) struct Ordered {
    #[command(flatten)]
    logs: Logs,
    /// A topic, and where to begin: earliest, latest, offset=7, ago=1h, at=TIME, start-of-day=Europe/Berlin or committed=CONSUMER; may be
    /// given several times
    #[arg(long = "source", value_name = "TOPIC:START", required = true, value_parser = source)]
    sources: Vec<Source>,
    /// When to end: live, behind the records that are there now; never, with Ctrl-C; or in front of a time
    #[arg(long, value_name = "live|never|TIME", default_value = "live", value_parser = until)]
    until: Until,
    /// Hold records later than this time back until every partition has reached it
    #[arg(long, value_name = "TIME", value_parser = moment)]
    cutoff: Option<Timestamp>,
    /// How many records are released at a time
    #[arg(long, value_name = "N", default_value = "10000", value_parser = records)]
    batch_size: usize,
    /// How many records may wait for those of other partitions [default: five batches]
    #[arg(long, value_name = "N", value_parser = records)]
    max_held: Option<usize>,
    /// Do not wait longer than this for a partition that brings nothing [default: until it ends]
    #[arg(long, value_name = "TIME", value_parser = span)]
    idle_timeout: Option<Duration>,
}

impl Ordered {
    /// Opens the logs.
    pub(super) async fn open_logs(&self, interrupted: &Shutdown) -> Result<Open, Error> {
        unless_interrupted(interrupted, self.logs.open()).await
    }

    /// Opens the reader.
    pub(super) async fn open(&self, logs: &Open, interrupted: &Shutdown) -> Result<Polling, Error> {
        let reader = unless_interrupted(interrupted, self.builder(logs).open()).await?;
        let topics = self.sources.iter().map(|source| (source.topic.clone(), logs.log(&source.topic)));
        Ok(Polling::new(reader, topics.collect(), self.until))
    }

    /// Returns the names of the topics.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| &*source.topic)
    }

    pub(super) fn batch_size(&self) -> usize {
        self.batch_size
    }

    pub(super) fn cutoff(&self) -> Option<Timestamp> {
        self.cutoff
    }

    /// Returns whether a partition that brings nothing lets the others go on.
    pub(super) fn has_idle_timeout(&self) -> bool {
        self.idle_timeout.is_some()
    }

    fn builder(&self, logs: &Open) -> OrderedReaderBuilder {
        let mut builder = OrderedReader::builder().batch_size(self.batch_size);
        for Source { topic, start } in &self.sources {
            builder = builder.source(logs.log(topic), topic.clone(), start.clone());
        }
        if let Some(cutoff) = self.cutoff {
            builder = builder.cutoff(cutoff);
        }
        if let Some(records) = self.max_held {
            builder = builder.max_held(records);
        }
        match self.idle_timeout {
            Some(time) => builder.idle_timeout(time),
            None => builder,
        }
    }
}

/// Awaits a step that a signal may end: a log that does not answer takes its time.
pub(super) async fn unless_interrupted<T>(
    interrupted: &Shutdown,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = interrupted.requested() => {
            Err(Error::new(ErrorKind::WrongState, "interrupted before anything was read"))
        }
        done = step => done,
    }
}

/// Parses a number of records.
fn records(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=10_000_000).contains(number));
    number.ok_or_else(|| "write a number from 1 to 10000000".to_owned())
}
