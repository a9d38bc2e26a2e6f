//! In-flight attempts in memory.

use std::collections::BTreeSet;

use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::store::InFlightAttempts;
use crate::{Error, MessageId};

/// Processes with an in-flight attempt of one message.
pub(super) type Notes = BTreeSet<String>;

fn key(consumer: &str, suspect: &MessageId) -> (String, MessageId) {
    (consumer.to_owned(), suspect.clone())
}

impl InFlightAttempts for MemoryStore {
    async fn begin_attempt(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<u32, Error> {
        self.tables(|tables| {
            tables.pass(Failpoint::BeginAttempt)?;
            let notes = tables.in_flight_attempts.entry(key(consumer, suspect)).or_default();
            notes.insert(by.to_owned());
            Ok(u32::try_from(notes.len() - 1).unwrap_or(u32::MAX))
        })
    }

    async fn clear_attempts(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        suspect: &MessageId,
    ) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            tx.writes.absolved.insert(key(consumer, suspect));
            Ok(())
        })
    }

    async fn withdraw_attempt(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<(), Error> {
        self.tables(|tables| {
            let key = key(consumer, suspect);
            if let Some(notes) = tables.in_flight_attempts.get_mut(&key) {
                notes.remove(by);
                if notes.is_empty() {
                    tables.in_flight_attempts.remove(&key);
                }
            }
        });
        Ok(())
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        self.tables(|tables| {
            let markers = &tables.markers;
            tables.in_flight_attempts.retain(|key, _| key.0 != consumer || !markers.contains_key(key));
        });
        Ok(())
    }
}
