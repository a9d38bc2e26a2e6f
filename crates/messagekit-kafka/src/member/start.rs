//! Where a lane starts.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::Member;
use super::commit::Begun;
use super::lane::{Lane, Stage};
use crate::link::Event;

/// How long the broker may take to say where partitions stand. The thread does nothing else meanwhile.
const ASK: Duration = Duration::from_secs(3);
const OPEN_AGAIN: Duration = Duration::from_millis(200);

/// Where a partition starts, and what the group has committed of it.
pub(super) struct Start {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) committed: Option<i64>,
}

impl Member {
    /// Finds where partitions start: at the committed offset, else at the earliest record.
    ///
    /// # Errors
    /// The outer one passes by itself; the inner one says that an offset is lost that the consumer's database remembers.
    pub(super) fn starts(&self, partitions: &TopicPartitionList) -> KafkaResult<Result<Vec<Start>, Error>> {
        let committed = self.consumer.committed_offsets(partitions.clone(), ASK)?;
        let mut starts = Vec::with_capacity(committed.count());
        for found in committed.elements() {
            found.error()?;
            let (topic, partition): (Arc<str>, i32) = (found.topic().into(), found.partition());
            let start = match found.offset() {
                Offset::Offset(offset) => Start { topic, partition, offset, committed: Some(offset) },
                _ => {
                    if let Some(next) = self.remembered_next(&topic, partition) {
                        return Ok(Err(self.lost_offset(&topic, partition, next)));
                    }
                    let (earliest, _) = self.consumer.fetch_watermarks(&topic, partition, ASK)?;
                    Start { topic, partition, offset: earliest, committed: None }
                }
            };
            starts.push(start);
        }
        Ok(Ok(starts))
    }

    fn remembered_next(&self, topic: &str, partition: i32) -> Option<i64> {
        let of = |next: &&messagekit::NextOffset| *next.topic == *topic && next.partition == partition;
        self.remembered.iter().filter(of).map(|next| next.next).min()
    }

    fn lost_offset(&self, topic: &str, partition: i32, next: i64) -> Error {
        let text = format!(
            "kafka has lost the committed offset of a partition that was read up to {next}: commit offset {next} for group {} again (kafka-consumer-groups.sh --reset-offsets --to-offset {next}), or an earlier one to read again, then start",
            self.name
        );
        Error::new(ErrorKind::WrongState, text)
            .with("consumer", &self.name)
            .with("topic", topic)
            .with("partition", partition)
            .with("remembered", next)
    }

    /// Writes down where new lanes start, and announces them then. Without it a process that dies after its first commit in
    /// the database would find a place there and none here, which looks like a lost offset.
    pub(super) fn open(&mut self) {
        if let Some(opening) = self.opening.take() {
            match opening.answered() {
                Poll::Pending => {
                    self.opening = Some(opening);
                    return;
                }
                Poll::Ready(Some(Ok(()))) => self.opened(opening),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(consumer = &*self.name, %error, "the start of new lanes is not written yet");
                }
                Poll::Ready(None) => {}
            }
        }
        let now = Instant::now();
        if now < self.next_opening {
            return;
        }
        let is_new = |lane: &Lane| lane.stage == Stage::Opening;
        self.opening = self.commit_once(now, |lane| lane.handled().filter(|_| is_new(lane)));
        if self.opening.is_some() {
            self.next_opening = now + OPEN_AGAIN;
        }
    }

    fn opened(&mut self, opening: Begun) {
        for (id, start) in opening.lanes {
            let Some(lane) = self.lane(id).filter(|lane| lane.stage == Stage::Opening) else { continue };
            lane.durable = Some(start);
            lane.stage = Stage::Open;
            let name = lane.name();
            self.events.send(Event::Assigned(id, name));
        }
    }
}
