//! Where lanes start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;

use super::background::{Answer, ask_each};
use super::known::{Committed, Known, Question};
use super::lost::log_lost_commits;
use super::offsets::Partition;
use super::proof::{Fingerprint, Positions};
use super::start_position::{GroupOffset, StartPosition};
use super::{End, Member};

/// How long partitions without a known start wait until they are queried again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a query may go without an answer: no thread could be created for it.
const ASK_LIMIT: Duration = Duration::from_secs(60);

/// Where a partition starts.
pub(super) struct Start {
    pub(super) partition: Partition,
    /// How the offset was chosen.
    pub(super) place: StartPosition,
    pub(super) offset: i64,
    /// The record before the offset, if it is known.
    pub(super) last: Option<Fingerprint>,
    /// The positions that the database remembers of the partition.
    pub(super) remembered: Positions,
}

impl Start {
    /// Returns the group's offset, if the lane starts there and its metadata holds the database's positions.
    /// Otherwise the start is committed before anything is delivered. The group would otherwise stay ahead of the
    /// records that are read again, or keep metadata that this database never had.
    pub(super) fn committed(&self) -> Option<i64> {
        match self.place {
            StartPosition::Committed(offset) => Some(offset),
            _ => None,
        }
    }
}

/// Partitions of this member whose start is not known yet. Each waits by itself: the group has its answer, and the
/// others start.
#[derive(Default)]
pub(super) struct Unplaced {
    waiting: BTreeMap<Partition, Waiting>,
    asked: Vec<Answer<Known>>,
}

struct Waiting {
    committed: Option<GroupOffset>,
    ask_at: Instant,
}

impl Unplaced {
    /// Adds partitions, to be queried at `ask_at`.
    pub(super) fn add(&mut self, committed: Committed, ask_at: Instant) {
        let waiting = |(partition, committed)| (partition, Waiting { committed, ask_at });
        self.waiting.extend(committed.into_iter().map(waiting));
    }

    /// Drops revoked partitions and repeats the pending queries: another member may commit a partition before it
    /// returns.
    pub(super) fn forget(&mut self, revoked: &TopicPartitionList) {
        self.asked.clear();
        self.waiting.retain(|(topic, partition), _| revoked.find_partition(topic, *partition).is_none());
        let now = Instant::now();
        self.waiting.values_mut().for_each(|waiting| waiting.ask_at = now);
    }

    fn due(&mut self, now: Instant) -> Committed {
        let due = self.waiting.iter_mut().filter(|(_, waiting)| now >= waiting.ask_at);
        let asked = |(partition, waiting): (&Partition, &mut Waiting)| {
            waiting.ask_at = now + ASK_LIMIT;
            (partition.clone(), waiting.committed.clone())
        };
        due.map(asked).collect()
    }

    /// Returns the results that have arrived.
    fn heard(&mut self) -> Vec<Known> {
        let mut heard = Vec::new();
        self.asked.retain(|answer| {
            loop {
                match answer.poll() {
                    Poll::Ready(Some(known)) => heard.push(known),
                    Poll::Ready(None) => break false,
                    Poll::Pending => break true,
                }
            }
        });
        heard
    }

    fn take(&mut self, partition: &Partition) -> Option<(Partition, Option<GroupOffset>)> {
        let (partition, waiting) = self.waiting.remove_entry(partition)?;
        Some((partition, waiting.committed))
    }
}

impl Member {
    /// Assigns the partitions whose start is known by now. The others, such as those without a leader, delay nothing.
    pub(super) fn start_unplaced(&mut self) -> Result<bool, End> {
        // Revoked partitions must not be assigned: the group's request is answered first.
        if self.unplaced.waiting.is_empty() || self.step.is_some() || self.consumer.assignment_lost() {
            return Ok(false);
        }
        let now = Instant::now();
        let due = self.unplaced.due(now);
        if !due.is_empty() {
            let asked = self.ask_known(due);
            self.unplaced.asked.push(asked);
        }
        let (mut starts, mut taken) = (Vec::new(), Committed::new());
        for known in self.unplaced.heard() {
            match known {
                Known::Start(start) => {
                    let Some(partition) = self.unplaced.take(&start.partition) else { continue };
                    log_lost_commits(&self.name, &start);
                    taken.push(partition);
                    starts.push(start);
                }
                Known::Lost(error) => return Err(End::Permanent(error)),
                Known::Later(partitions, error) => {
                    let later: Committed =
                        partitions.iter().filter_map(|partition| self.unplaced.take(partition)).collect();
                    self.unplaced.add(later, now + ASK_AGAIN);
                    self.tell_again(error);
                }
            }
        }
        if starts.is_empty() {
            return Ok(false);
        }
        if let Err(error) = self.take(starts) {
            self.unplaced.add(taken, now + ASK_AGAIN);
            self.failed(error)?;
        }
        Ok(true)
    }

    fn ask_known(&self, committed: Committed) -> Answer<Known> {
        let question = Question {
            client: self.client.clone(),
            consumer: Arc::downgrade(&self.consumer),
            name: self.name.clone(),
            memory: self.memory.clone(),
        };
        ask_each("known", move |known| question.ask(committed, known))
    }
}
