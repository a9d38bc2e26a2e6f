//! The positions of a primed consumer go over to its group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use messagekit::Error;
use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaResult;

use super::commit::commit_for_sure;
use super::known::Question;
use super::lane::NextOf;
use super::offsets::{self, Partition};
use super::proof::{self, Positions};
use crate::error::unavailable;

/// How long the commit is retried.
const COMMIT: Duration = Duration::from_secs(5);

impl Question {
    /// Commits the positions of all topics, with one request, where the group has no offset; then notes that in the database. From then on a
    /// group without an offset has lost it, as when the topic is made again. A crash before the note repeats both.
    ///
    /// # Errors
    /// Transient if the brokers or the database do not answer.
    pub(super) fn hand_positions_over(&self) -> Result<(), Error> {
        let topics = self.client.topics().map(Into::into).collect();
        let Some((positions, _)) = self.memory.now(topics).transpose()? else { return Ok(()) };
        let mut next: BTreeMap<Partition, Positions> = BTreeMap::new();
        for position in positions {
            next.entry((position.topic, position.partition))
                .or_default()
                .insert(position.key_lane, position.next);
        }
        self.commit_new(next)
            .map_err(|error| unavailable("the group has not got the positions of the priming", error))?;
        self.memory.note_in_group()
    }

    fn commit_new(&self, next: BTreeMap<Partition, Positions>) -> KafkaResult<()> {
        let Some(consumer) = self.consumer.upgrade() else { return Ok(()) };
        let all: BTreeSet<Partition> = next.keys().cloned().collect();
        let mut asked = TopicPartitionList::with_capacity(all.len());
        for (topic, partition) in offsets::existing(&consumer, &all, |_| true)? {
            asked.add_partition(&topic, partition);
        }
        let committed = offsets::committed(&consumer, asked)?;
        let new = committed.into_iter().filter(|(_, offset)| offset.is_none());
        let new = new.filter_map(|(partition, _)| {
            let positions = next.get(&partition)?;
            let offset = *positions.values().min()?;
            let (topic, partition) = partition;
            let id = self.client.ids.of(&topic);
            Some(NextOf {
                metadata: proof::metadata(offset, None, id.as_deref(), positions),
                topic,
                partition,
                offset,
            })
        });
        commit_for_sure(&consumer, new.collect(), Instant::now() + COMMIT)
    }
}
