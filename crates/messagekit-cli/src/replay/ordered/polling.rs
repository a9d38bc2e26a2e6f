//! Polls of a reader until its end, through what passes by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::{Log, OrderedReader, PartitionState, Record};
use messagekit::{Error, ErrorKind, Position, Shutdown, chain};
use tokio::time::{Instant, sleep};

use super::ending::Ending;
use super::until::Until;

/// How long a poll waits for a record, and so the longest that an end without one is noticed late.
const WAIT: Duration = Duration::from_millis(100);
/// How often a log that does not answer is asked, and for how long; and how often one that brings nothing is asked where it ends.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic, and the log that has it.
pub(super) type Topic = (Arc<str>, Arc<dyn Log>);

/// A reader with its end.
pub(in crate::replay) struct Polling {
    reader: OrderedReader,
    topics: Vec<Topic>,
    until: Until,
    ending: Ending,
    /// Since when the log has not answered.
    silent: Option<Instant>,
    /// When the log was last asked where it ends.
    asked: Instant,
}

impl Polling {
    pub(super) fn new(reader: OrderedReader, topics: Vec<Topic>, until: Until) -> Self {
        let end = |state: PartitionState| Position {
            topic: state.topic,
            partition: state.partition,
            offset: state.replay_end_offset,
        };
        let ending = Ending::new(until, reader.partition_state().into_iter().map(end));
        Self { reader, topics, until, ending, silent: None, asked: Instant::now() }
    }

    /// Returns what the next poll brings, and `None` when the command is interrupted.
    pub(in crate::replay) async fn next(
        &mut self,
        interrupted: &Shutdown,
    ) -> Result<Option<Vec<Record>>, Error> {
        loop {
            let polled = tokio::select! {
                biased;
                () = interrupted.requested() => return Ok(None),
                polled = self.poll() => polled,
            };
            match polled {
                Ok(records) => {
                    self.silent = None;
                    return Ok(Some(records));
                }
                Err(error) => self.bear(error, interrupted).await?,
            }
        }
    }

    /// Removes the records that lie behind the end, and returns whether it is reached.
    pub(in crate::replay) fn cut(&mut self, records: &mut Vec<Record>) -> bool {
        self.ending.cut(records);
        self.has_ended()
    }

    /// Returns whether an interrupt is the end that was asked for.
    pub(in crate::replay) fn ends_when_interrupted(&self) -> bool {
        self.until == Until::Never
    }

    pub(in crate::replay) fn reader(&self) -> &OrderedReader {
        &self.reader
    }

    fn has_ended(&self) -> bool {
        self.until != Until::Never && self.ending.is_reached(&self.reader.next_positions())
    }

    async fn poll(&mut self) -> Result<Vec<Record>, Error> {
        if let Some(time) = self.ending.wanted(Timestamp::now()) {
            self.ending.bound(self.offsets_at(time).await?);
        }
        let wait = if self.has_ended() { Duration::ZERO } else { WAIT };
        let records = self.reader.poll(wait).await?;
        if records.is_empty() && self.ending.is_bounded() && self.asked.elapsed() >= AGAIN {
            self.refuse_lost_ends().await?;
            self.asked = Instant::now();
        }
        Ok(records)
    }

    /// Asks the logs where a time begins.
    async fn offsets_at(&self, time: Timestamp) -> Result<Vec<Position>, Error> {
        let mut found = Vec::new();
        for (topic, log) in &self.topics {
            let position = |(partition, offset)| Position { topic: topic.clone(), partition, offset };
            found.extend(log.offsets_at(topic, time).await?.into_iter().map(position));
        }
        Ok(found)
    }

    /// Refuses to wait for an end that is not there any more.
    async fn refuse_lost_ends(&self) -> Result<(), Error> {
        for (topic, log) in &self.topics {
            let known = log.bounds(topic).await?.into_iter();
            let mut lost = known.filter(|known| {
                self.ending.bound_of(topic, known.partition).is_some_and(|bound| known.end < bound)
            });
            if let Some(lost) = lost.next() {
                let text = "partition ends before what was to be read of it: it was truncated or made again; run the command again";
                let error = Error::new(ErrorKind::WrongState, text).with("topic", topic);
                return Err(error.with("partition", lost.partition).with("end", lost.end));
            }
        }
        Ok(())
    }

    /// Waits if the error may pass.
    async fn bear(&mut self, error: Error, interrupted: &Shutdown) -> Result<(), Error> {
        let since = *self.silent.get_or_insert_with(Instant::now);
        if !error.is_transient() || since.elapsed() >= PATIENCE {
            return Err(error);
        }
        tracing::warn!(error = chain(&error), "the log does not answer: it is asked again");
        tokio::select! {
            () = interrupted.requested() => {}
            () = sleep(AGAIN) => {}
        }
        Ok(())
    }
}
