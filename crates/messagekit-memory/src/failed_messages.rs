//! Storing and retrying failed messages in memory.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{RetryLease, SetAsideOutcome};
use messagekit::operations::FailedMessageHead;
use messagekit::{Claim, Error, ErrorKind, MessageId};

use super::locks::failed_message_held;
use super::marker::Marker;
use super::stored_message::{Resolving, StoredMessage};
use super::tables::Tables;
use super::tx::MemoryTx;

impl Tables {
    /// Returns the failed message if this lease is current, outside of any transaction.
    pub(super) fn leased(
        &mut self,
        consumer: &str,
        leased: &RetryLease,
    ) -> Result<Option<&mut StoredMessage>, Error> {
        if self.locks.holds_failed_message(leased.failed_message) {
            return Err(failed_message_held(leased.failed_message));
        }
        Ok(self
            .failed_messages
            .get_mut(&leased.failed_message)
            .filter(|failed_message| failed_message.is_leased_as(consumer, leased)))
    }

    /// Resolves a failed message and marks its message as applied when the transaction commits.
    pub(super) fn resolve(
        &mut self,
        tx: &mut MemoryTx,
        consumer: &str,
        failed_message: i64,
        message: &MessageId,
        resolving: Resolving,
    ) -> Result<(), Error> {
        self.locks.failed_message(tx.number, failed_message)?;
        let key: (String, MessageId) = (consumer.to_owned(), message.clone());
        self.locks.marker(tx.number, &key)?;
        match self.marker_in(tx, &key) {
            Some(Marker { claim: Claim::Held, generation, .. }) => {
                tx.writes.markers.insert(key, Marker::new(Claim::Done, generation));
                tx.writes.resolved.insert(failed_message, resolving);
                Ok(())
            }
            _ => {
                let error =
                    Error::new(ErrorKind::Corrupt, "failed message is open and its message is not held");
                Err(error.with("failed_message", failed_message).with("message_id", message))
            }
        }
    }

    /// Leases at most `max` due failed messages of a selection, earliest due time first.
    pub(super) fn lease_due(
        &mut self,
        max: u32,
        now: Timestamp,
        until: Timestamp,
        is_meant: impl Fn(&StoredMessage) -> bool,
    ) -> Vec<RetryLease> {
        let free = self.failed_messages.iter().filter(|(number, failed_message)| {
            failed_message.standing.is_due(now)
                && is_meant(failed_message)
                && !self.locks.holds_failed_message(**number)
                && !self.waits_for_another(failed_message)
        });
        let mut due: Vec<_> =
            free.map(|(number, failed_message)| (failed_message.standing.due, *number)).collect();
        due.sort_unstable();
        due.truncate(max as usize);
        due.into_iter()
            .filter_map(|(_, number)| self.failed_messages.get_mut(&number)?.lease(now, until))
            .collect()
    }

    /// Stores a failed message unless a marker settles its message.
    pub(super) fn set_aside(
        &mut self,
        tx: &mut MemoryTx,
        scope: &str,
        id: &MessageId,
        generation: i32,
        failed_message: impl FnOnce(i64) -> StoredMessage,
    ) -> Result<SetAsideOutcome, Error> {
        let key = (scope.to_owned(), id.clone());
        self.locks.marker(tx.number, &key)?;
        if self.marker_in(tx, &key).is_some_and(|marker| !marker.yields_to(generation)) {
            self.only_looked(tx, &key);
            return Ok(SetAsideOutcome::AlreadySettled);
        }
        tx.writes.markers.insert(key, Marker::new(Claim::Held, generation));
        // As with a database sequence, a rollback leaves a gap.
        self.last_failed_message += 1;
        tx.writes.failed_messages.insert(self.last_failed_message, failed_message(self.last_failed_message));
        Ok(SetAsideOutcome::SetAside)
    }

    /// Returns the age of the oldest open failed message with one of the topics as redelivery target.
    pub(super) fn oldest_return(&self, topics: &[Arc<str>], now: Timestamp) -> Option<Duration> {
        let goes_back = |head: &&FailedMessageHead| {
            let way = head.return_to.as_deref();
            head.state.is_open() && topics.iter().any(|topic| way == Some(&**topic))
        };
        let oldest = self
            .failed_messages
            .values()
            .map(StoredMessage::head)
            .filter(goes_back)
            .map(|head| head.set_aside_at)
            .min();
        oldest.and_then(|oldest| Duration::try_from(now.duration_since(oldest)).ok())
    }
}
