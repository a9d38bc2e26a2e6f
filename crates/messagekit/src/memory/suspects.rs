//! Deaths of processes, counted in memory.

use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::store::{Received, Suspects};
use crate::{Error, MessageId};

/// What is known about a message that may end its process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspect {
    pub(super) kills: u32,
    /// It was noted, and nobody has answered yet.
    noted: bool,
}

fn key(consumer: &str, received: &Received) -> (String, MessageId) {
    (consumer.to_owned(), received.id.clone())
}

impl Suspects for MemoryStore {
    async fn suspect(&self, consumer: &str, received: &Received) -> Result<u32, Error> {
        self.tables(|tables| {
            tables.pass(Failpoint::Suspect)?;
            let suspect = tables.suspects.entry(key(consumer, received)).or_default();
            suspect.kills += u32::from(std::mem::replace(&mut suspect.noted, true));
            Ok(suspect.kills)
        })
    }

    async fn absolve(&self, tx: &mut MemoryTx, consumer: &str, received: &Received) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            tx.writes.absolved.insert(key(consumer, received));
            Ok(())
        })
    }

    async fn stand_down(&self, consumer: &str, received: &Received) -> Result<(), Error> {
        self.tables(|tables| {
            let key = key(consumer, received);
            match tables.suspects.get_mut(&key) {
                Some(suspect) if suspect.kills > 0 => suspect.noted = false,
                _ => drop(tables.suspects.remove(&key)),
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
