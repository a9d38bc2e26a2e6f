//! The start positions of assigned partitions, found in the background because every query may block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::thread;

use jiff::Timestamp;
use messagekit::adapter::NextOffset;
use messagekit::{Error, ErrorKind};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::continuity::{self, Content, Handled};
use super::lost::{another_log, lost_offset};
use super::offsets::{self, Partition};
use super::start::Start;
use super::start_position::{GroupOffset, Remembered, StartPosition, start_position};
use crate::background::Answers;
use crate::client::GroupClient;
use crate::context::Context;
use crate::error::unavailable;
use crate::memory::Memory;

/// The result for a partition.
pub(super) enum Known {
    /// The partition can start.
    Start(Start),
    /// The partition cannot start here: going on would lose records, unless its topic was made again.
    Lost(Start, Error),
    /// These partitions cannot start yet, and are queried again.
    Later(Vec<Partition>, Error),
}

/// Partitions with the offsets that the group has committed.
pub(super) type Committed = Vec<(Partition, Option<GroupOffset>)>;

/// The sources of a query.
pub(super) struct Question {
    pub(super) client: GroupClient,
    /// Weak, because the client leaves the group with its last reference.
    pub(super) consumer: Weak<BaseConsumer<Context>>,
    pub(super) name: Arc<str>,
    pub(super) memory: Memory,
    /// Topics that are read from their start: positions of an earlier topic do not count.
    pub(super) from_start: BTreeSet<Arc<str>>,
}

impl Question {
    /// Reports where each partition starts as soon as that is known: a partition that waits for a leader delays no
    /// other one.
    ///
    /// The committed offsets were read before this call: the database and the log are compared with them, and must be
    /// newer.
    pub(super) fn ask(&self, committed: Committed, known: &Answers<Known>) {
        let topics = committed.iter().map(|((topic, _), _)| topic.clone()).collect();
        let now = match self.memory.now(topics).transpose() {
            Ok(now) => now,
            Err(error) => {
                let text = "database did not say whether it has lost commits of this consumer";
                let error = Error::new(ErrorKind::Unavailable, text).caused_by(error);
                return later(known, committed.into_iter().map(|(partition, _)| partition), error);
            }
        };
        if now.as_ref().is_some_and(|(_, is_primed)| *is_primed)
            && let Err(error) = self.hand_positions_over()
        {
            return later(known, committed.into_iter().map(|(partition, _)| partition), error);
        }
        let (mut handled, mut unread) = (Vec::new(), Vec::new());
        for (partition, committed) in committed {
            let remembered = self.remembered(now.as_ref(), &partition, committed.is_none());
            let place = start_position(committed.as_ref(), &remembered);
            let proof = committed.and_then(|group| group.proof).unwrap_or_default();
            let (last, topic_id, remembered) = (proof.last, proof.topic_id, remembered.positions);
            let start = Start { partition, place, offset: place.offset(), last, remembered, topic_id };
            match (place, last) {
                (StartPosition::OffsetLost { next }, _) => {
                    let error = lost_offset(&self.name, &start.partition, next);
                    known.send(Known::Lost(start, error));
                }
                (
                    StartPosition::Earliest
                    | StartPosition::Primed { .. }
                    | StartPosition::CommitsLost { .. },
                    _,
                ) => {
                    unread.push(Start { last: None, topic_id: None, ..start });
                }
                (StartPosition::Committed(_) | StartPosition::Forgotten { .. }, Some(print)) => {
                    let (topic, partition) = start.partition.clone();
                    handled.push((Handled { topic, partition, offset: start.offset - 1, print }, start));
                }
                (StartPosition::Committed(_) | StartPosition::Forgotten { .. }, None) => {
                    known.send(Known::Start(start));
                }
            }
        }
        self.ask_leaders(handled, unread, known);
    }

    /// Returns the positions that the database remembers of a partition. If the database cannot be queried, the
    /// positions of the process start are used; they may be old, and prove only that the partition was read.
    fn remembered(
        &self,
        now: Option<&(Vec<NextOffset>, bool)>,
        partition: &Partition,
        is_unread: bool,
    ) -> Remembered {
        let first = if is_unread { self.memory.first() } else { &[] };
        let (positions, is_primed) = now.map_or((first, false), |(now, is_primed)| (now, *is_primed));
        if is_unread && self.from_start.contains(&partition.0) {
            return Remembered::default();
        }
        let of_topic = positions.iter().filter(|next| next.topic == partition.0);
        let (here, elsewhere): (Vec<_>, Vec<_>) = of_topic.partition(|next| next.partition == partition.1);
        Remembered {
            positions: here.into_iter().map(|next| (next.key_lane, next.next)).collect(),
            knows_topic: !elsewhere.is_empty(),
            is_primed,
        }
    }

    /// Queries the leaders for the last handled record, or for the first record to read of an unread partition.
    fn ask_leaders(
        &self,
        mut handled: Vec<(Handled, Start)>,
        mut unread: Vec<Start>,
        known: &Answers<Known>,
    ) {
        let Some(consumer) = self.consumer.upgrade() else { return };
        let all = handled.iter().map(|(_, start)| start).chain(&unread);
        let all: BTreeSet<Partition> = all.map(|start| start.partition.clone()).collect();
        if all.is_empty() {
            return;
        }
        let led = match offsets::existing(&consumer, &all, |partition| partition.leader() >= 0) {
            Ok(led) => led,
            Err(error) => {
                return later(known, all, unavailable("no broker names the leaders of partitions", error));
            }
        };
        handled.retain(|(_, start)| led.contains(&start.partition));
        unread.retain(|start| led.contains(&start.partition));
        let error = KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable);
        let error = unavailable("partitions start when they have a leader", error);
        later(known, all.difference(&led).cloned(), error);
        thread::scope(|scope| {
            let name = "messagekit-kafka-log".to_owned();
            let beside = thread::Builder::new().name(name).spawn_scoped(scope, || self.check(handled, known));
            // These partitions are queried again.
            beside.map_or_else(|error| tracing::error!(%error, "no thread to read partitions with"), drop);
            let since = self.client.since;
            let begins_at_a_time = |start: &Start| since.is_some() && start.place == StartPosition::Earliest;
            let (new, others): (Vec<_>, Vec<_>) = unread.into_iter().partition(begins_at_a_time);
            find_first(&consumer, new, since, known);
            find_first(&consumer, others, None, known);
            // The client leaves the group with its last reference.
            drop(consumer);
        });
    }

    /// Starts the partitions that are unchanged.
    fn check(&self, handled: Vec<(Handled, Start)>, known: &Answers<Known>) {
        if handled.is_empty() {
            return;
        }
        let mut waiting: BTreeSet<Partition> =
            handled.iter().map(|(_, start)| start.partition.clone()).collect();
        let checked = self.client.reader().and_then(|reader| {
            continuity::check(&Arc::new(reader), handled, |record, start: Start, content| {
                waiting.remove(&start.partition);
                known.send(match content {
                    // Also in a mirror of the topic, which has an id of its own.
                    Content::Same => Known::Start(Start { topic_id: None, ..start }),
                    Content::Deleted => Known::Start(start),
                    Content::Another => Known::Lost(start, another_log(&self.name, &record)),
                });
            })
        });
        let error =
            checked.err().unwrap_or(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        later(known, waiting, unavailable("brokers do not show the records that were handled last", error));
    }
}

/// Starts partitions at the earliest record, or the first one of a time or later; after it if earlier commits are known.
fn find_first(
    consumer: &BaseConsumer<Context>,
    unread: Vec<Start>,
    since: Option<Timestamp>,
    known: &Answers<Known>,
) {
    let mut unread: BTreeMap<Partition, Start> =
        unread.into_iter().map(|start| (start.partition.clone(), start)).collect();
    let partitions: Vec<Partition> = unread.keys().cloned().collect();
    let error = offsets::first(consumer, &partitions, since, &mut |partition, first| {
        if let Some(mut start) = unread.remove(&partition) {
            start.offset = match start.place {
                // Never beyond the committed offset: the lane there reports records that were deleted before they
                // were read.
                StartPosition::CommitsLost { committed, .. } => start.offset.max(first).min(committed),
                _ => start.offset.max(first),
            };
            known.send(Known::Start(start));
        }
    });
    let error = error.unwrap_or(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset));
    later(known, unread.into_keys(), unavailable("the first offset is not known yet", error));
}

/// Reports why partitions cannot start yet; does nothing without partitions.
fn later(known: &Answers<Known>, partitions: impl IntoIterator<Item = Partition>, error: Error) {
    let partitions: Vec<Partition> = partitions.into_iter().collect();
    if let Some((topic, partition)) = partitions.first() {
        let error = error.with("topic", topic).with("partition", partition);
        let error = if partitions.len() > 1 { error.with("partitions", partitions.len()) } else { error };
        known.send(Known::Later(partitions, error));
    }
}
