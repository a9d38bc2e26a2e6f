//! State of an in-memory log, behind one lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use jiff::Timestamp;
use messagekit::fnv::fnv1a;
use messagekit::log::Record;
use messagekit::{Message, Position};

use super::group::Group;
use super::lock;

#[derive(Default)]
pub(super) struct State {
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) readers: Vec<Waker>,
    pub(super) members: u64,
}

pub(super) struct Topic {
    pub(super) partitions: Vec<Partition>,
    /// The partition of the next batch without keys.
    turn: usize,
}

#[derive(Default)]
pub(super) struct Partition {
    /// Number of deleted records, which is the offset of the first kept one.
    pub(super) start: usize,
    pub(super) records: Vec<Record>,
}

impl Partition {
    pub(super) fn end(&self) -> usize {
        self.start + self.records.len()
    }

    /// Returns the offset of the first record since a time, or the end.
    pub(super) fn first_since(&self, time: Timestamp) -> usize {
        self.start + self.records.iter().take_while(|record| record.timestamp < Some(time)).count()
    }

    /// Returns the records from an offset on, or none if it is outside the kept range.
    pub(super) fn from(&self, offset: usize) -> &[Record] {
        offset.checked_sub(self.start).and_then(|skip| self.records.get(skip..)).unwrap_or_default()
    }
}

impl State {
    /// Appends messages in order. A key selects the partition; messages without a key in one batch share a partition.
    pub(super) fn append(&mut self, partitions: usize, batch: &[Message]) {
        let now = Timestamp::now();
        let mut turns: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for message in batch {
            let topic = self.topic(partitions, &message.topic);
            let index = match &message.key {
                Some(key) => partition_of(key, partitions),
                None => *turns.entry(message.topic.clone()).or_insert_with(|| {
                    topic.turn = (topic.turn + 1) % partitions;
                    topic.turn
                }),
            };
            let partition = &mut topic.partitions[index];
            let position = Position {
                topic: message.topic.clone(),
                partition: i32::try_from(index).expect("fewer partitions than 2^31"),
                offset: partition.end() as i64,
            };
            partition.records.push(Record {
                message: message.clone(),
                position,
                timestamp: Some(now),
                is_tombstone: false,
            });
        }
    }

    fn topic(&mut self, partitions: usize, name: &Arc<str>) -> &mut Topic {
        if !self.topics.contains_key(name) {
            let empty = (0..partitions).map(|_| Partition::default()).collect();
            // The first batch without keys goes to partition 0.
            self.topics.insert(name.clone(), Topic { partitions: empty, turn: partitions - 1 });
            for group in self.groups.values_mut() {
                group.see_topic(name, partitions, |_| 0);
                group.rebalance();
            }
        }
        self.topics.get_mut(name).expect("it was just made")
    }

    /// Takes the wakers of all waiting tasks, which poll again and wait again.
    fn wakers(&mut self) -> Vec<Waker> {
        let mut wakers = std::mem::take(&mut self.readers);
        wakers.extend(self.groups.values_mut().flat_map(Group::wakers));
        wakers
    }
}

fn partition_of(key: &[u8], partitions: usize) -> usize {
    (fnv1a(key.iter().copied()) % partitions as u64) as usize
}

/// The lock, which wakes tasks only after unlocking.
pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()) })
    }

    /// Reads the state without waking tasks.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut lock(&self.state))
    }

    /// Changes the state and wakes waiting tasks.
    pub(super) fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let (result, wakers) = {
            let mut state = lock(&self.state);
            let result = act(&mut state);
            (result, state.wakers())
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}
