//! Where a lane starts.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind, NextOffset};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;

use super::background::{Answer, ask};
use super::commit::Begun;
use super::continuity::Handled;
use super::known::{Known, Question};
use super::lane::{Lane, Stage};
use super::offsets::{self, Earliest, Partition};
use super::place::{Place, place};
use super::{End, Member};
use crate::link::Event;

const OPEN_AGAIN: Duration = Duration::from_millis(200);
/// How long partitions without a known start wait until they are asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What is asked of new partitions.
pub(super) type Asked = Answer<KafkaResult<Known>>;

/// Where a partition starts, and what the group has committed of it.
pub(super) struct Start {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) committed: Option<i64>,
}

/// Partitions of this member that start at the earliest record, which their leader has not named yet.
#[derive(Default)]
pub(super) struct Unplaced {
    partitions: Vec<Partition>,
    asked: Option<Answer<Earliest>>,
}

impl Unplaced {
    /// What was asked is asked again: a partition that comes back may have been committed by another member meanwhile.
    pub(super) fn forget(&mut self, revoked: &TopicPartitionList) {
        self.asked = None;
        self.partitions.retain(|(topic, partition)| revoked.find_partition(topic, *partition).is_none());
    }
}

impl Member {
    /// Asks what is known of new partitions, after a pause.
    pub(super) fn ask_known(&self, partitions: &TopicPartitionList, pause: Duration) -> Asked {
        let question = Question {
            client: self.client.clone(),
            consumer: Arc::downgrade(&self.consumer),
            name: self.name.clone(),
            memory: self.memory.clone(),
        };
        let partitions = partitions.clone();
        ask("offsets", move || {
            std::thread::sleep(pause);
            question.ask(partitions)
        })
    }

    /// Says where partitions start: at the committed offset, or where a database that has lost commits is. Those that were
    /// never read start at the earliest record, which is asked for next.
    ///
    /// # Errors
    /// When an offset is lost that the consumer's database remembers, or when a partition is not the log any more that was read.
    pub(super) fn starts(&mut self, known: Known) -> Result<Vec<Start>, Error> {
        if let Some(record) = &known.broken {
            return Err(self.another_log(record));
        }
        let mut starts = Vec::with_capacity(known.committed.len());
        for ((topic, partition), committed) in known.committed {
            let remembered = match (&known.remembered, committed) {
                (Some(now), _) => nexts(now, &topic, partition),
                // What stood there at the start may be long ago, and says only that the partition was read.
                (None, None) => nexts(self.memory.first(), &topic, partition),
                (None, Some(_)) => Vec::new(),
            };
            let (offset, committed) = match place(committed, &remembered) {
                Place::Committed(offset) => (offset, Some(offset)),
                Place::CommitsLost { next, committed } => {
                    self.tell_lost_commits(&topic, partition, next, committed);
                    // Written down before anything is delivered: otherwise the group would stay ahead of what is read again, and
                    // a key lane that catches up with it would make the database look complete.
                    (next, None)
                }
                Place::OffsetLost { next } => return Err(self.lost_offset(&topic, partition, next)),
                Place::Earliest => {
                    self.unplaced.partitions.push((topic, partition));
                    continue;
                }
            };
            starts.push(Start { topic, partition, offset, committed });
        }
        self.unplaced.asked = None;
        Ok(starts)
    }

    fn another_log(&self, record: &Handled) -> Error {
        let text = format!(
            "partition was cut or made anew: the record at offset {} is not the one that was handled, so others before it were \
             never read; commit an earlier offset for group {} to read them (kafka-consumer-groups.sh --reset-offsets \
             --to-datetime or --to-earliest): what was applied is not applied again",
            record.offset, self.name
        );
        Error::new(ErrorKind::WrongState, text)
            .with("consumer", &self.name)
            .with("topic", &record.topic)
            .with("partition", record.partition)
            .with("offset", record.offset + 1)
    }

    fn tell_lost_commits(&self, topic: &str, partition: i32, next: i64, committed: i64) {
        tracing::error!(
            consumer = &*self.name,
            topic,
            partition,
            remembered = next,
            committed,
            "database has lost commits of this consumer: its records are read again from the position that it remembers"
        );
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

    /// Takes the partitions whose earliest record is known by now. The others, such as those without a leader, hold nothing up.
    pub(super) fn start_unplaced(&mut self) -> Result<bool, End> {
        // Revoked ones must not be taken: the group's wish is answered first.
        if self.unplaced.partitions.is_empty() || self.step.is_some() || self.consumer.assignment_lost() {
            return Ok(false);
        }
        let answer = match &self.unplaced.asked {
            None => {
                self.unplaced.asked = self.ask_earliest(Duration::ZERO);
                return Ok(false);
            }
            Some(asked) => asked.poll(),
        };
        let Poll::Ready(answer) = answer else { return Ok(false) };
        let Earliest { found, error } = answer.unwrap_or_default();
        let placed: Vec<Partition> = found.iter().map(|(partition, _)| partition.clone()).collect();
        let at = |((topic, partition), offset)| Start { topic, partition, offset, committed: None };
        let starts: Vec<Start> = found.into_iter().map(at).collect();
        let has_starts = !starts.is_empty();
        let taken = if has_starts { self.take(starts) } else { Ok(()) };
        match taken {
            Ok(()) => self.unplaced.partitions.retain(|partition| !placed.contains(partition)),
            Err(error) => self.failed(error)?,
        }
        self.unplaced.asked = self.ask_earliest(ASK_AGAIN);
        if let (Some(error), Some((topic, partition))) = (error, self.unplaced.partitions.first()) {
            let reason = format!("the first offset of {topic}/{partition} is not known yet: {error}");
            self.tell(&error, &reason);
        }
        Ok(has_starts)
    }

    fn ask_earliest(&self, pause: Duration) -> Option<Answer<Earliest>> {
        let (consumer, partitions) = (Arc::downgrade(&self.consumer), self.unplaced.partitions.clone());
        let work = move || {
            std::thread::sleep(pause);
            // The group is left when nothing holds the client any more.
            consumer.upgrade().map(|consumer| offsets::earliest(&consumer, &partitions)).unwrap_or_default()
        };
        (!self.unplaced.partitions.is_empty()).then(|| ask("offsets", work))
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

/// Returns the positions of the key lanes of a partition.
fn nexts(positions: &[NextOffset], topic: &str, partition: i32) -> Vec<i64> {
    let of = |next: &&NextOffset| *next.topic == *topic && next.partition == partition;
    positions.iter().filter(of).map(|next| next.next).collect()
}
