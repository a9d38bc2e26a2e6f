//! Record claims in memory.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messagekit::log::{Log, Record};
use messagekit::{Error, ErrorKind, Position};
use messagekit_topic_store::{
    ClaimHolder, ClaimPartition, ClaimPartitions, ClaimWindow, LeaseOf, LeasedMessage, RecordClaims,
};

use super::stored_message::StoredMessage;
use super::{MemoryLog, MemoryStore, MemoryTx};

/// Of the log that the store [writes to](MemoryStore::with_log). A transaction that meets another one on the records of a consumer
/// fails with [`ErrorKind::Conflict`] at once.
impl RecordClaims for MemoryStore {
    async fn claim_holder(&self) -> Result<ClaimHolder, Error> {
        Ok(self.process.holder.clone())
    }

    async fn ended_holders(&self, holders: &[ClaimHolder]) -> Result<Vec<ClaimHolder>, Error> {
        Ok(self.tables(|tables| {
            holders.iter().filter(|holder| tables.ended_holders.contains(holder)).cloned().collect()
        }))
    }

    async fn claim_partitions(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        topic: &Arc<str>,
    ) -> Result<ClaimPartitions, Error> {
        let log = self.log(topic)?;
        let now = self.database.clock.now();
        self.statement(tx, None, |tables, tx| tables.locks.claims(tx.number, consumer, topic))?;
        let bounds = log.bounds(topic).await?;
        self.statement(tx, None, |tables, tx| {
            let partition = |bounds: messagekit::log::Bounds| {
                let key = (consumer.to_owned(), topic.clone(), bounds.partition);
                let window = tx.writes.claims.get(&key).or_else(|| tables.claims.get(&key)).cloned();
                let is_new = window.is_none();
                let window = window.unwrap_or_else(|| ClaimWindow::new(bounds.earliest));
                ClaimPartition { bounds, window, is_new }
            };
            let own = tables.failed_messages.values().filter(|stored| stored.head().consumer == consumer);
            let failed_due = own.filter_map(StoredMessage::retry_due).min();
            Ok(ClaimPartitions { now, failed_due, partitions: bounds.into_iter().map(partition).collect() })
        })
    }

    async fn write_claim_window(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        topic: &Arc<str>,
        partition: i32,
        window: &ClaimWindow,
    ) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            tx.writes.claims.insert((consumer.to_owned(), topic.clone(), partition), window.clone());
            Ok(())
        })
    }

    async fn record_keys(
        &self,
        _tx: &mut MemoryTx,
        topic: &Arc<str>,
        partition: i32,
        offsets: &[Range<i64>],
    ) -> Result<Vec<(i64, Bytes)>, Error> {
        let records = self.log(topic)?.records(topic).into_iter().filter(|record| {
            let Position { partition: own, offset, .. } = &record.position;
            *own == partition && offsets.iter().any(|offsets| offsets.contains(offset))
        });
        Ok(records.filter_map(|record| Some((record.position.offset, record.message.key?))).collect())
    }

    async fn lease_failed(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        partition: Option<i32>,
        lease: Duration,
    ) -> Result<Option<LeasedMessage>, Error> {
        let clock = self.database.clock;
        self.tables(|tables| {
            let (now, until) = (clock.now(), clock.after(lease));
            let leased = tables.lease_due(1, now, until, |stored| {
                let position = stored.head().position.as_ref();
                let is_meant = |at: &Position| {
                    at.topic == *topic && partition.is_none_or(|partition| partition == at.partition)
                };
                stored.head().consumer == consumer && position.is_some_and(is_meant)
            });
            Ok(leased.into_iter().next().map(|lease| LeasedMessage { lease, until }))
        })
    }

    async fn leased_failed(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        of: &LeaseOf,
    ) -> Result<Option<LeasedMessage>, Error> {
        let now = self.database.clock.now();
        self.statement(tx, None, |tables, _| {
            let is_meant = |stored: &&StoredMessage| match of {
                LeaseOf::Token { failed_message, token } => {
                    stored.head().id == *failed_message && stored.standing().token == *token
                }
                LeaseOf::Position { topic, partition, offset } => {
                    let position = Position { topic: topic.clone(), partition: *partition, offset: *offset };
                    stored.head().position == Some(position)
                        && stored.standing().due.is_some_and(|due| due > now)
                }
            };
            let mut own = tables
                .failed_messages
                .values()
                .filter(|stored| stored.head().consumer == consumer && stored.standing().running);
            let found = own.find(is_meant);
            Ok(found.and_then(|stored| {
                let until = stored.standing().due?;
                Some(LeasedMessage { lease: stored.last_lease(), until })
            }))
        })
    }

    async fn read_claimed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        offsets: Range<i64>,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        let records = self.log(topic)?.records(topic).into_iter();
        let wanted = |record: &Record| {
            record.position.partition == partition && offsets.contains(&record.position.offset)
        };
        let mut bytes = 0;
        let fits = |record: &Record| {
            let before = bytes;
            bytes += record.message.size();
            before < max_bytes
        };
        Ok(records.filter(wanted).take_while(fits).collect())
    }
}

impl MemoryStore {
    pub(super) fn log(&self, topic: &str) -> Result<&MemoryLog, Error> {
        self.database.log.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "this store has no log: create it with `MemoryStore::with_log`")
                .with("topic", topic)
        })
    }

    /// Returns those of the partitions in which a consumer has claimed records, each with what it reads next.
    pub(super) fn positions(
        &self,
        consumer: &str,
        topic: &str,
        partitions: impl Iterator<Item = i32>,
    ) -> Vec<(i32, i64)> {
        self.tables(|tables| {
            let next = |partition| {
                let window = tables.claims.get(&(consumer.to_owned(), topic.into(), partition))?;
                Some((partition, window.next()))
            };
            partitions.filter_map(next).collect()
        })
    }
}
