//! The lag of a member of an in-memory log.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::{BoxFuture, LagProbe, PartitionLag};

use super::state::{Shared, State};

/// Counts the kept records behind the contiguous settled prefix; their age counts from their append.
pub(super) struct MemberLag {
    pub(super) log: Arc<Shared>,
    pub(super) consumer: String,
    pub(super) member: u64,
}

impl LagProbe for MemberLag {
    fn lag(&self) -> BoxFuture<'_, Result<Vec<PartitionLag>, Error>> {
        let lag = self.log.with(|state| self.read(state));
        Box::pin(std::future::ready(Ok(lag)))
    }
}

impl MemberLag {
    fn read(&self, state: &State) -> Vec<PartitionLag> {
        let now = Timestamp::now();
        let group = state.groups.get(&self.consumer);
        let owned = group.into_iter().flat_map(|group| group.owned(self.member));
        let lag = owned.filter_map(|(queue, committed)| {
            let partition = state.topics.get(&queue.topic)?.partitions.get(queue.partition)?;
            let next = usize::try_from(committed).ok()?.max(partition.start);
            let oldest = partition.from(next).first().and_then(|record| record.timestamp);
            let oldest = oldest.map(|stored| now.duration_since(stored));
            Some(PartitionLag {
                topic: Arc::clone(&queue.topic),
                partition: i32::try_from(queue.partition).ok(),
                messages: partition.end().saturating_sub(next) as u64,
                oldest: oldest.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default(),
            })
        });
        lag.collect()
    }
}
