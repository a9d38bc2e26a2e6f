//! Deaths of processes, counted in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::store::{Received, Suspects, Unanswered};
use crate::{Error, MessageId};

/// Who has noted a message and not answered, and until when each has time.
pub(super) type Notes = BTreeMap<String, Timestamp>;

fn key(consumer: &str, received: &Received) -> (String, MessageId) {
    (consumer.to_owned(), received.id.clone())
}

impl Suspects for MemoryStore {
    async fn suspect(
        &self,
        consumer: &str,
        received: &Received,
        by: &str,
        within: Duration,
    ) -> Result<Unanswered, Error> {
        let (now, until) = (self.database.clock.now(), self.database.clock.after(within));
        self.tables(|tables| {
            tables.pass(Failpoint::Suspect)?;
            let notes = tables.suspects.entry(key(consumer, received)).or_default();
            notes.remove(by);
            let last = notes
                .values()
                .max()
                .map_or(Duration::ZERO, |last| last.duration_since(now).try_into().unwrap_or_default());
            let unanswered = Unanswered { notes: u32::try_from(notes.len()).unwrap_or(u32::MAX), left: last };
            notes.insert(by.to_owned(), until);
            Ok(unanswered)
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
