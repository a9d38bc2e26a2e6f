//! Reads topics of this database without consuming them.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, CommitWatch, Pages, Record};

use crate::PostgresStore;
use crate::commit_watch::{PgCommits, Watched};
use crate::tables::topics::Partition;
use crate::tables::{cursors, topic_records, topics};

/// The most bytes of a page, unless one record is larger.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;

/// Offsets are given with the partitions of the topic held, so no record can appear inside a page that was read. A reader that finds
/// events without an offset gives them theirs first.
impl Pages for PostgresStore {
    fn bounds(&self, topic: &Arc<str>) -> BoxFuture<'static, Result<Vec<Bounds>, Error>> {
        let (store, topic) = (self.clone(), topic.clone());
        Box::pin(async move {
            let found = store.sequenced(&topic).await?;
            let known = store
                .read(|mut connection| {
                    let store = &store;
                    async move { topics::partitions(&mut connection, store.schema(), found.id).await }
                })
                .await?;
            Ok(known.into_iter().map(Partition::bounds).collect())
        })
    }

    fn offsets_at(
        &self,
        topic: &Arc<str>,
        time: Timestamp,
    ) -> BoxFuture<'static, Result<Vec<(i32, i64)>, Error>> {
        let (store, topic) = (self.clone(), topic.clone());
        Box::pin(async move {
            let found = store.sequenced(&topic).await?;
            let offsets = PostgresStore::read(&store, |mut connection| {
                let store = &store;
                async move { topic_records::first_since(&mut connection, store.schema(), found.id, time).await }
            });
            offsets.await
        })
    }

    fn committed_offsets(
        &self,
        topic: &Arc<str>,
        consumer: &str,
    ) -> BoxFuture<'static, Result<Vec<(i32, i64)>, Error>> {
        let (store, topic, consumer) = (self.clone(), topic.clone(), consumer.to_owned());
        Box::pin(async move {
            let found = store.sequenced(&topic).await?;
            let offsets = PostgresStore::read(&store, |mut connection| {
                let (store, consumer) = (&store, &consumer);
                async move { cursors::of_topic(&mut connection, store.schema(), consumer, found.id).await }
            });
            offsets.await
        })
    }

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
