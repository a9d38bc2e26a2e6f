//! Locks of the rows that open transactions write.

use std::collections::BTreeMap;
use std::sync::Arc;

use messagekit::{Error, ErrorKind, MessageId};

use super::blocked_key::BlockedKey;

/// Rows written by open transactions, which other transactions must not write.
#[derive(Default)]
pub(super) struct Locks {
    markers: BTreeMap<(String, MessageId), u64>,
    failed_messages: BTreeMap<i64, u64>,
    keys: BTreeMap<BlockedKey, u64>,
    /// The claimed records of a consumer in a topic.
    claims: BTreeMap<(String, Arc<str>), u64>,
    /// The primings that begin, by consumer.
    primings: BTreeMap<String, u64>,
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

    pub(super) fn claims(&mut self, tx: u64, consumer: &str, topic: &Arc<str>) -> Result<(), Error> {
        let key = (consumer.to_owned(), topic.clone());
        if self.claims.get(&key).is_some_and(|holder| *holder != tx) {
            let error =
                Error::new(ErrorKind::Conflict, "another open transaction claims records of the topic");
            return Err(error.with("consumer", consumer).with("topic", topic));
        }
        self.claims.insert(key, tx);
        Ok(())
    }

    pub(super) fn priming(&mut self, tx: u64, consumer: &str) -> Result<(), Error> {
        if self.primings.get(consumer).is_some_and(|holder| *holder != tx) {
            let text = "another open transaction begins a priming of the consumer: retry";
            return Err(Error::new(ErrorKind::Unavailable, text).with("consumer", consumer));
        }
        self.primings.insert(consumer.to_owned(), tx);
        Ok(())
    }

    pub(super) fn holds_key(&self, key: &BlockedKey) -> bool {
        self.keys.contains_key(key)
    }

    pub(super) fn holds_failed_message(&self, failed_message: i64) -> bool {
        self.failed_messages.contains_key(&failed_message)
    }

    pub(super) fn unlock_marker(&mut self, key: &(String, MessageId)) {
        self.markers.remove(key);
    }

    pub(super) fn release(&mut self, tx: u64) {
        self.markers.retain(|_, holder| *holder != tx);
        self.failed_messages.retain(|_, holder| *holder != tx);
        self.keys.retain(|_, holder| *holder != tx);
        self.claims.retain(|_, holder| *holder != tx);
        self.primings.retain(|_, holder| *holder != tx);
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
