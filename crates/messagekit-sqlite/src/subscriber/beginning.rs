//! Where a consumer begins in a partition in which it has no cursor.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::NextOffset;

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::{cursors, read, topics};

/// What a source and a store say of it; without either, it is the earliest record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beginning {
    /// The positions of the consumer's store when it was bound.
    pub(crate) remembered: Arc<[NextOffset]>,
    pub(crate) since: Option<Timestamp>,
}

impl Beginning {
    /// Returns the position of the store, which counts for a consumer that is new to the file.
    pub(super) fn remembered(&self, topic: &str, partition: i32) -> Option<i64> {
        let of_partition = |known: &&NextOffset| &*known.topic == topic && known.partition == partition;
        self.remembered.iter().filter(of_partition).map(|known| known.next).min()
    }

    /// Returns the offset of the first record since the source's time, or the end, of each partition in which the consumer has no
    /// cursor. It may look through all their records, and therefore has the connection of a reader.
    pub(super) fn of_time(
        &self,
        store: &SqliteStore,
        consumer: &str,
        topics: &[Arc<str>],
    ) -> Result<BTreeMap<i64, i64>, Error> {
        let mut first = BTreeMap::new();
        let Some(since) = self.since else { return Ok(first) };
        let conn = &store.open_reader()?;
        for topic in topics {
            let cursors = cursors::of_topic(conn, consumer, topic).map_err(from_sqlite)?;
            let known: HashSet<i32> = cursors.into_iter().map(|(partition, _)| partition).collect();
            let partitions = topics::partitions(conn, topic).map_err(from_sqlite)?;
            for partition in partitions.iter().filter(|one| !known.contains(&one.partition)) {
                let found = read::first_since(conn, partition.tp, since.as_microsecond())?;
                first.insert(partition.tp, found.unwrap_or(partition.next_offset));
            }
        }
        Ok(first)
    }
}
