//! Reads topics of this database without consuming them.

use std::sync::Arc;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, CommitWatch, Log, LogReader, PagedReader, Pages, Record, Start};

use crate::PostgresStore;
use crate::commit_watch::{PgCommits, Watched};
use crate::tables::topics::Partition;
use crate::tables::{topic_records, topics};

/// The most bytes of a page, unless one record is larger.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;

/// Offsets are given with the partitions of the topic held, so no record can appear inside a page that was read. A reader that finds
/// events without an offset gives them theirs first.
impl Log for PostgresStore {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Pages::bounds(self, &Arc::from(topic))
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        wanted: &'a [(i32, Start)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move {
            Ok(Box::new(PagedReader::open(self.clone(), topic, wanted).await?) as Box<dyn LogReader>)
        })
    }
}

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
