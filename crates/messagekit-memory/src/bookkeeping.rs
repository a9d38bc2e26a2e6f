//! Recording of broker dead letters in memory.

use std::time::Duration;

use messagekit::adapter::{Bookkeeping, BrokerDeadLetter, Failure, Next, Redelivery, SetAsideOutcome};
use messagekit::operations::Origin;
use messagekit::{Error, MessageId};

use super::MemoryStore;
use super::stored_message::StoredMessage;
use super::tx::MemoryTx;

impl Bookkeeping for MemoryStore {
    async fn keep(&self, tx: &mut MemoryTx, found: &BrokerDeadLetter) -> Result<SetAsideOutcome, Error> {
        let clock = self.database.clock;
        let failure = Failure { next: Next::Dead, ..found.failure.clone() };
        self.statement(tx, None, |tables, tx| {
            tables.set_aside(tx, &found.scope, &found.received.id, failure.generation, |number| {
                StoredMessage::new(number, &found.scope, &found.received, &failure, clock)
                    .kept_by_a_broker(found.origin, found.return_to.clone())
            })
        })
    }

    async fn note_failure(
        &self,
        tx: &mut MemoryTx,
        event_id: &MessageId,
        scope: &str,
        reason: &str,
    ) -> Result<bool, Error> {
        self.statement(tx, None, |tables, tx| {
            let ours = tables.events.iter().any(|event| event.event_id == *event_id);
            let key = (event_id.clone(), scope.to_owned());
            if ours && !tables.failures.contains_key(&key) {
                tx.writes.failures.entry(key).or_insert_with(|| reason.to_owned());
            }
            Ok(ours)
        })
    }

    async fn lease_returns(
        &self,
        origin: Origin,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<Redelivery>, Error> {
        let (now, until) = (self.database.clock.now(), self.database.clock.after(lease));
        Ok(self.tables(|tables| {
            let leased = tables.lease_due(max, now, until, |failed_message| {
                failed_message.head().origin == origin && failed_message.head().return_to.is_some()
            });
            let returning = leased.into_iter().filter_map(|leased| {
                let head = tables.failed_messages.get(&leased.failed_message)?.head();
                let return_to = head.return_to.clone()?;
                Some(Redelivery { scope: head.consumer.clone(), origin, return_to, leased })
            });
            returning.collect()
        }))
    }
}
