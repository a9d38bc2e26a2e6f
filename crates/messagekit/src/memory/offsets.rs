//! Committed offsets in memory.

use std::sync::Arc;

use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::Error;
use crate::store::{NextOffset, Offsets};

/// Consumer, topic, partition, key lane.
pub(super) type OffsetKey = (String, Arc<str>, i32, u32);

impl Offsets for MemoryStore {
    async fn advance(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> Result<(), Error> {
        self.statement(tx, Some(Failpoint::Advance), |_, tx| {
            for position in positions {
                let key =
                    (consumer.to_owned(), position.topic.clone(), position.partition, position.key_lane);
                let noted = tx.writes.offsets.entry(key).or_insert(position.next);
                *noted = position.next.max(*noted);
            }
            Ok(())
        })
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        Ok(self.tables(|tables| {
            let noted =
                tables.offsets.iter().filter(|((owner, of, ..), _)| owner == consumer && **of == *topic);
            noted
                .map(|((_, topic, partition, key_lane), next)| NextOffset {
                    topic: topic.clone(),
                    partition: *partition,
                    key_lane: *key_lane,
                    next: *next,
                })
                .collect()
        }))
    }
}
