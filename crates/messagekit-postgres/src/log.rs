//! Reads topics of this database without consuming them.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, PartitionStart, Record};
use messagekit_topic_store::{CommitWatch, PagedReader, Pages};

use crate::PostgresStore;
use crate::commit_watch::{PgCommits, Watched};
use crate::tables::topics::Partition;
use crate::tables::{cursors, topic_records, topics};

/// The most bytes of a page, unless one record is larger.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;

/// Offsets are given with the partitions of the topic held, so no record can appear inside a page that was read. A reader that finds
/// events without an offset gives them theirs first.
impl Log for PostgresStore {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move {
            let found = self.sequenced(topic).await?;
            let known = self
                .read(|mut connection| async move {
                    topics::partitions(&mut connection, self.schema(), found.id).await
                })
                .await?;
            Ok(known.into_iter().map(Partition::bounds).collect())
        })
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move {
            let found = self.sequenced(topic).await?;
            let offsets = PostgresStore::read(self, |mut connection| async move {
                topic_records::first_since(&mut connection, self.schema(), found.id, time).await
            });
            offsets.await
        })
    }

    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move {
            let found = self.sequenced(topic).await?;
            let offsets = PostgresStore::read(self, |mut connection| async move {
                cursors::of_topic(&mut connection, self.schema(), consumer, found.id).await
            });
            offsets.await
        })
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        wanted: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move {
            let reader = PagedReader::open(self.clone(), topic, wanted).await?;
            Ok(Box::new(reader) as Box<dyn LogReader>)
        })
    }
}

impl Pages for PostgresStore {
    fn read(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        max: usize,
    ) -> BoxFuture<'static, Result<(Bounds, Vec<Record>), Error>> {
        let (store, topic) = (self.clone(), topic.clone());
        Box::pin(async move {
            let found = store.sequenced(&topic).await?;
            let page = PostgresStore::read(&store, |mut connection| {
                let (store, topic) = (&store, &topic);
                async move {
                    let known = topics::partitions(&mut connection, store.schema(), found.id).await?;
                    let known = known.into_iter().find(|known| known.partition == partition);
                    let known = known.ok_or_else(|| topics::no_topic(topic))?;
                    let offsets = from.max(known.log_start)..i64::MAX;
                    let max = i64::try_from(max).unwrap_or(i64::MAX);
                    let schema = store.schema();
                    let read = topic_records::read(
                        &mut connection,
                        schema,
                        topic,
                        known.tp,
                        offsets,
                        max,
                        PAGE_BYTES,
                    );
                    Ok((known.bounds(), read.await?))
                }
            });
            page.await
        })
    }

    fn watch(&self) -> Result<Box<dyn CommitWatch>, Error> {
        Ok(Box::new(PgCommits::new(self.clone(), Watched::Records)))
    }
}
