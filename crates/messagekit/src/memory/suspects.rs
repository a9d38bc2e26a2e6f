//! Who handles a message alone, noted in memory.

use std::collections::BTreeSet;

use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::store::{Received, Suspects};
use crate::{Error, MessageId};

/// Who has noted a message and not answered.
pub(super) type Notes = BTreeSet<String>;

fn key(consumer: &str, received: &Received) -> (String, MessageId) {
    (consumer.to_owned(), received.id.clone())
}

impl Suspects for MemoryStore {
    async fn suspect(&self, consumer: &str, received: &Received, by: &str) -> Result<u32, Error> {
        self.tables(|tables| {
            tables.pass(Failpoint::Suspect)?;
            let notes = tables.suspects.entry(key(consumer, received)).or_default();
            notes.insert(by.to_owned());
            Ok(u32::try_from(notes.len() - 1).unwrap_or(u32::MAX))
        })
    }

    async fn absolve(&self, tx: &mut MemoryTx, consumer: &str, received: &Received) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            tx.writes.absolved.insert(key(consumer, received));
            Ok(())
        })
    }

    async fn stand_down(&self, consumer: &str, received: &Received, by: &str) -> Result<(), Error> {
        self.tables(|tables| {
            let key = key(consumer, received);
            if let Some(notes) = tables.suspects.get_mut(&key) {
                notes.remove(by);
                if notes.is_empty() {
                    tables.suspects.remove(&key);
                }
            }
        });
        Ok(())
    }

    async fn sweep_suspects(&self, consumer: &str) -> Result<(), Error> {
        self.tables(|tables| {
            let markers = &tables.markers;
            tables.suspects.retain(|key, _| key.0 != consumer || !markers.contains_key(key));
        });
        Ok(())
    }
}
