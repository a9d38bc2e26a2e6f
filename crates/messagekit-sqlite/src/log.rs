//! Reads topics of this file without consuming them.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, PartitionStart, Record};
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{CommitWatch, PagedReader, Pages};

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::topics::{self, Partition};
use crate::tables::{cursors, read};

/// The most bytes of a page, unless one record is larger.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// The appending transaction assigns offsets, so no record can appear inside a page that was read.
impl Log for SqliteStore {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        let (store, topic) = (self.clone(), Arc::<str>::from(topic));
        Box::pin(async move {
            let name = topic.clone();
            let found =
                store.query_topics(move |conn| topics::partitions(conn, &name).map_err(from_sqlite)).await?;
            if found.is_empty() {
                return Err(no_topic(&topic));
            }
            Ok(found.into_iter().map(Partition::bounds).collect())
        })
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        let (store, topic) = (self.clone(), Arc::<str>::from(topic));
        Box::pin(async move {
            let query = move |conn: &rusqlite::Connection| {
                let known = topics::partitions(conn, &topic).map_err(from_sqlite)?;
                if known.is_empty() {
                    return Err(no_topic(&topic));
                }
                let offset = |known: &Partition| {
                    let first = read::first_since(conn, known.tp, time.as_microsecond())?;
                    Ok((known.partition, first.unwrap_or(known.next_offset)))
                };
                known.iter().map(offset).collect()
            };
            store.query_topics(query).await
        })
    }

    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        let (store, topic, consumer) = (self.clone(), Arc::<str>::from(topic), consumer.to_owned());
        Box::pin(async move {
            let query = move |conn: &rusqlite::Connection| {
                if topics::partitions(conn, &topic).map_err(from_sqlite)?.is_empty() {
                    return Err(no_topic(&topic));
                }
                cursors::of_topic(conn, &consumer, &topic).map_err(from_sqlite)
            };
            store.query_topics(query).await
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

impl Pages for SqliteStore {
    fn read(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        max: usize,
    ) -> BoxFuture<'static, Result<(Bounds, Vec<Record>), Error>> {
        let (store, topic) = (self.clone(), topic.clone());
        Box::pin(async move {
            let query = move |conn: &rusqlite::Connection| {
                let mut all = topics::partitions(conn, &topic).map_err(from_sqlite)?.into_iter();
                let known = all.find(|known| known.partition == partition);
                let known = known.ok_or_else(|| no_topic(&topic))?;
                let from = from.max(known.log_start);
                let records = read::read(conn, &topic, known.tp, from, max, PAGE_BYTES)?;
                let records = records.into_iter().map(|stored| stored.into_record(&topic, partition));
                Ok((known.bounds(), records.collect::<Result<_, Error>>()?))
            };
            store.query_topics(query).await
        })
    }

    fn watch(&self) -> Result<Box<dyn CommitWatch>, Error> {
        Ok(Box::new(SqliteStore::watch(self)?))
    }
}

fn no_topic(topic: &Arc<str>) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such topic in this file").with("topic", topic)
}
