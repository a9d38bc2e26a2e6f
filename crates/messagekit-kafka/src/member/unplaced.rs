//! Partitions whose start is not known yet.

use std::collections::BTreeMap;
use std::task::Poll;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;

use super::known::{Committed, Known};
use super::offsets::Partition;
use super::start_position::GroupOffset;
use crate::background::Answer;

/// How long a query may go without an answer: no thread could be created for it.
const ASK_LIMIT: Duration = Duration::from_secs(60);

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

    /// Returns whether the start of every partition is known.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a pending query.
    pub(super) fn ask(&mut self, answer: Answer<Known>) {
        self.asked.push(answer);
    }

    /// Drops revoked partitions and repeats the pending queries: another member may commit a partition before it
    /// returns.
    pub(super) fn forget(&mut self, revoked: &TopicPartitionList) {
        self.asked.clear();
        self.waiting.retain(|(topic, partition), _| revoked.find_partition(topic, *partition).is_none());
        let now = Instant::now();
        self.waiting.values_mut().for_each(|waiting| waiting.ask_at = now);
    }

    /// Returns the partitions that are to be queried now.
    pub(super) fn due(&mut self, now: Instant) -> Committed {
        let due = self.waiting.iter_mut().filter(|(_, waiting)| now >= waiting.ask_at);
        let asked = |(partition, waiting): (&Partition, &mut Waiting)| {
            waiting.ask_at = now + ASK_LIMIT;
            (partition.clone(), waiting.committed.clone())
        };
        due.map(asked).collect()
    }

    /// Returns the results that have arrived.
    pub(super) fn heard(&mut self) -> Vec<Known> {
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

    /// Removes a partition.
    pub(super) fn take(&mut self, partition: &Partition) -> Option<(Partition, Option<GroupOffset>)> {
        let (partition, waiting) = self.waiting.remove_entry(partition)?;
        Some((partition, waiting.committed))
    }
}
