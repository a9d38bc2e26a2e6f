//! Record claims on topics of this file.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messagekit::log::Record;
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{
    ClaimHolder, ClaimPartitions, ClaimTurns, ClaimWindow, LeaseOf, LeasedMessage, RecordClaims,
};

use crate::error::from_sqlite;
use crate::tables::topics::Partition;
use crate::tables::{names, now, read, record_claims, retries, timestamp, topics, waiting_changes};
use crate::{SqliteStore, SqliteTx, claim_holder};

/// Only one transaction of the file writes at a time, so claims never conflict. A process that ends frees its claims at once: it
/// holds a lock on a file beside the database, which the kernel releases. A clean close removes that file.
impl RecordClaims for SqliteStore {
    async fn claim_holder(&self) -> Result<ClaimHolder, Error> {
        self.holder()
    }

    async fn ended_holders(&self, holders: &[ClaimHolder]) -> Result<Vec<ClaimHolder>, Error> {
        let mut ended = Vec::new();
        for holder in holders {
            if claim_holder::has_ended(self.path(), holder)? {
                ended.push(holder.clone());
            }
        }
        Ok(ended)
    }

    async fn claim_partitions(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        topic: &Arc<str>,
    ) -> Result<ClaimPartitions, Error> {
        let (consumer, name) = (consumer.to_owned(), topic.clone());
        let partitions_of_new = self.partitions().get();
        let (now, failed_due, partitions, appended) = tx
            .run(move |conn| {
                let now = now();
                let appended = waiting_changes::append(conn, partitions_of_new, now)?.appended;
                let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
                let failed_due = retries::next_due(conn, consumer).map_err(from_sqlite)?;
                Ok((now, failed_due, record_claims::partitions(conn, consumer, &name)?, appended))
            })
            .await?;
        if appended.leaves {
            let news = self.news().clone();
            tx.on_commit(Box::new(move || news.wake()));
        }
        if partitions.is_empty() {
            return Err(no_topic(topic));
        }
        let failed_due = failed_due.map(timestamp).transpose()?;
        Ok(ClaimPartitions { now: timestamp(now)?, failed_due, partitions })
    }

    fn claim_turns(&self) -> Result<Option<&ClaimTurns>, Error> {
        self.turns().map(Some)
    }

    async fn write_claim_window(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        topic: &Arc<str>,
        partition: i32,
        window: &ClaimWindow,
    ) -> Result<(), Error> {
        let (consumer, topic, window) = (consumer.to_owned(), topic.clone(), window.clone());
        tx.run(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| record_claims::write(conn, consumer, &topic, partition, &window))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn record_keys(
        &self,
        tx: &mut SqliteTx,
        topic: &Arc<str>,
        partition: i32,
        offsets: &[Range<i64>],
    ) -> Result<Vec<(i64, Bytes)>, Error> {
        let (topic, offsets) = (topic.clone(), offsets.to_vec());
        tx.run(move |conn| record_claims::keys(conn, &topic, partition, &offsets).map_err(from_sqlite)).await
    }

    async fn lease_failed(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        partition: Option<i32>,
        lease: Duration,
    ) -> Result<Option<LeasedMessage>, Error> {
        let (consumer, topic): (Arc<str>, _) = (consumer.into(), topic.clone());
        let of = (consumer.clone(), topic.clone());
        // The due one may be of another topic: take the write lock only when there is work.
        let look = move |conn: &_| {
            retries::due_of_topic(conn, &of.0, (&of.1, partition), now()).map_err(from_sqlite)
        };
        if self.query(look).await?.is_none() {
            return Ok(None);
        }
        self.job(move |conn| retries::lease_of_topic(conn, &consumer, (&topic, partition), lease, now()))
            .await
    }

    async fn leased_failed(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        of: &LeaseOf,
    ) -> Result<Option<LeasedMessage>, Error> {
        let (consumer, of) = (consumer.to_owned(), of.clone());
        tx.run(move |conn| {
            let consumer = names::consumer(conn, &consumer).map_err(from_sqlite)?;
            retries::leased(conn, consumer, &of, now())
        })
        .await
    }

    async fn read_claimed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        offsets: Range<i64>,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        let topic = topic.clone();
        self.query(move |conn| {
            let known = topics::partitions(conn, &topic).map_err(from_sqlite)?;
            let found = known.into_iter().find(|known: &Partition| known.partition == partition);
            let Some(Partition { tp, .. }) = found else { return Err(no_topic(&topic)) };
            let max = usize::try_from(offsets.end - offsets.start).unwrap_or(0);
            let stored = read::read(conn, &topic, tp, offsets.start, max, max_bytes)?.into_iter();
            let wanted = stored.take_while(|stored| stored.offset < offsets.end);
            wanted.map(|stored| stored.into_record(&topic, partition)).collect()
        })
        .await
    }
}

fn no_topic(topic: &str) -> Error {
    Error::new(ErrorKind::NotFound, "file has no such topic").with("topic", topic)
}
