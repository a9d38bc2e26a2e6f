//! The lag of a subscriber.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::{BoxFuture, LagProbe, PartitionLag};

use super::link::Link;
use crate::error::from_sqlite;
use crate::tables::{read, timestamp, topics};

/// Counts the kept records behind the cursors; their age counts from when the events were written. A subscriber that stands by
/// has none. It reads on a pooled connection, because that of the reader thread delivers records.
pub(super) struct LaneLag {
    pub(super) link: Arc<Link>,
    pub(super) topics: Vec<Arc<str>>,
}

impl LagProbe for LaneLag {
    fn lag(&self) -> BoxFuture<'_, Result<Vec<PartitionLag>, Error>> {
        Box::pin(async {
            if !self.link.has_lane() {
                return Ok(Vec::new());
            }
            let (binding, topics) = (Arc::clone(self.link.binding()), self.topics.clone());
            let lag = self.link.store.query(move |conn| {
                let mut lag = Vec::new();
                for topic in topics {
                    for found in topics::partitions(conn, &topic).map_err(from_sqlite)? {
                        // The subscriber adopts a new partition, from its beginning, with the next record that it reads.
                        let cursor = binding.cursor(&topic, found.partition);
                        let next = cursor.map_or(found.log_start, |cursor| cursor.next.max(found.log_start));
                        let messages = u64::try_from(found.next_offset - next).unwrap_or(0);
                        // A record that was written since then is not counted.
                        let oldest = read::created_at(conn, found.tp, next)?.filter(|_| messages > 0);
                        lag.push(PartitionLag {
                            topic: Arc::clone(&topic),
                            partition: Some(found.partition),
                            messages,
                            oldest: oldest.map(age).transpose()?.unwrap_or_default(),
                        });
                    }
                }
                Ok(lag)
            });
            let lag = lag.await?;
            // The lane may be gone meanwhile, and its next owner reports it.
            Ok(if self.link.has_lane() { lag } else { Vec::new() })
        })
    }
}

fn age(created_at: i64) -> Result<Duration, Error> {
    let age = Timestamp::now().duration_since(timestamp(created_at)?);
    // Zero for an event of a clock that is ahead of this one.
    Ok(Duration::try_from(age).unwrap_or_default())
}
