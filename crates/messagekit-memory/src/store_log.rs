//! Reads the log of a store, with the positions of the consumers that claim its records.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, PartitionStart};

use super::MemoryStore;

impl Log for MemoryStore {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move { self.log(topic)?.bounds(topic).await })
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move { self.log(topic)?.offsets_at(topic, time).await })
    }

    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move {
            let partitions = self.log(topic)?.bounds(topic).await?.into_iter().map(|bounds| bounds.partition);
            Ok(self.positions(consumer, topic, partitions))
        })
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move { self.log(topic)?.open(topic, partitions).await })
    }
}
