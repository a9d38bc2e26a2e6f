//! Processed markers in memory, and their locks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::parking::BlockedKey;
use super::store::Tables;
use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::store::{Claim, ClaimRequest, Processed};
use crate::{Error, ErrorKind, MessageId};

/// Marker of one message of a consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marker {
    /// The result of later claims.
    pub(super) claim: Claim,
    pub(super) generation: i32,
    /// Time of its commit.
    pub(super) processed_at: Timestamp,
}

impl Marker {
    /// Creates a marker for an open transaction; the commit sets its time.
    pub(super) fn new(claim: Claim, generation: i32) -> Self {
        Self { claim, generation, processed_at: Timestamp::MAX }
    }

    /// Returns whether a claim of a generation is fresh. When a range is processed again, messages applied under a
    /// smaller generation are applied once more.
    pub(super) fn yields_to(self, generation: i32) -> bool {
        self.claim == Claim::Done && self.generation < generation
    }
}

/// Rows written by open transactions, which other transactions must not write.
#[derive(Default)]
pub(super) struct Locks {
    markers: BTreeMap<(String, MessageId), u64>,
    failed_messages: BTreeMap<i64, u64>,
    keys: BTreeMap<BlockedKey, u64>,
}

impl Locks {
    pub(super) fn marker(&mut self, tx: u64, key: &(String, MessageId)) -> Result<(), Error> {
        match self.markers.get(key) {
            Some(holder) if *holder != tx => {
                let error = Error::new(ErrorKind::Conflict, "another open transaction holds the message");
                Err(error.with("message_id", &key.1).with("consumer", &key.0))
            }
            _ => {
                self.markers.insert(key.clone(), tx);
                Ok(())
            }
        }
    }

    pub(super) fn failed_message(&mut self, tx: u64, failed_message: i64) -> Result<(), Error> {
        if self.failed_messages.get(&failed_message).is_some_and(|holder| *holder != tx) {
            return Err(failed_message_held(failed_message));
        }
        self.failed_messages.insert(failed_message, tx);
        Ok(())
    }

    /// Locks a key until the transaction ends, which keeps the first open message of the key stable.
    pub(super) fn key(&mut self, tx: u64, key: &BlockedKey) -> Result<(), Error> {
        if self.keys.get(key).is_some_and(|holder| *holder != tx) {
            return Err(key_held(key));
        }
        self.keys.insert(key.clone(), tx);
        Ok(())
    }

    pub(super) fn holds_key(&self, key: &BlockedKey) -> bool {
        self.keys.contains_key(key)
    }

    pub(super) fn holds_failed_message(&self, failed_message: i64) -> bool {
        self.failed_messages.contains_key(&failed_message)
    }

    fn unlock_marker(&mut self, key: &(String, MessageId)) {
        self.markers.remove(key);
    }

    pub(super) fn release(&mut self, tx: u64) {
        self.markers.retain(|_, holder| *holder != tx);
        self.failed_messages.retain(|_, holder| *holder != tx);
        self.keys.retain(|_, holder| *holder != tx);
    }
}

pub(super) fn failed_message_held(failed_message: i64) -> Error {
    Error::new(ErrorKind::Conflict, "another open transaction holds the failed message")
        .with("failed_message", failed_message)
}

pub(super) fn key_held(key: &BlockedKey) -> Error {
    let error =
        Error::new(ErrorKind::Conflict, "another open transaction changes the failed messages of the key");
    error.with("consumer", &key.consumer).with("topic", &key.topic)
}

impl Tables {
    /// Returns the marker as seen by a transaction.
    pub(super) fn marker_in(&self, tx: &MemoryTx, key: &(String, MessageId)) -> Option<Marker> {
        tx.writes.markers.get(key).or_else(|| self.markers.get(key)).copied()
    }

    fn claim(&mut self, tx: &mut MemoryTx, consumer: &str, request: &ClaimRequest) -> Result<Claim, Error> {
        let key = (consumer.to_owned(), request.id.clone());
        self.locks.marker(tx.number, &key)?;
        if self.marker_in(tx, &key).is_none_or(|marker| marker.yields_to(request.generation)) {
            let behind = self.is_held(tx, consumer, request);
            let (claim, answer) =
                if behind { (Claim::Held, Claim::KeyBlocked) } else { (Claim::Done, Claim::Fresh) };
            tx.writes.markers.insert(key.clone(), Marker::new(claim, request.generation));
            tx.writes.fresh.insert(key);
            return Ok(answer);
        }
        let known = self.marker_in(tx, &key).map_or(Claim::Done, |marker| marker.claim);
        self.only_looked(tx, &key);
        Ok(known)
    }

    /// Unlocks a marker that this transaction only read: a finished row must not block others.
    pub(super) fn only_looked(&mut self, tx: &MemoryTx, key: &(String, MessageId)) {
        if !tx.writes.markers.contains_key(key) {
            self.locks.unlock_marker(key);
        }
    }
}

impl Processed for MemoryStore {
    async fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        let window = window.unwrap_or(Duration::MAX);
        Ok(self.tables(|tables| {
            let noted = tables.windows.entry(consumer.to_owned()).or_default();
            *noted = window.max(*noted);
            tables.complete_since.get(consumer).copied()
        }))
    }

    async fn oldest_return(&self, topics: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        Ok(self.tables(|tables| tables.oldest_return(topics, self.database.clock.now())))
    }

    async fn claim(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        self.statement(tx, Some(Failpoint::Claim), |tables, tx| {
            requests.iter().map(|request| tables.claim(tx, consumer, request)).collect()
        })
    }

    async fn unclaim(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<(), Error> {
        self.statement(tx, None, |tables, tx| {
            for request in requests {
                let key = (consumer.to_owned(), request.id.clone());
                if tx.writes.fresh.remove(&key) {
                    tx.writes.markers.remove(&key);
                    tables.locks.unlock_marker(&key);
                }
            }
            Ok(())
        })
    }
}
