//! An in-memory database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::clock::Clock;
use super::failed_messages::StoredMessage;
use super::in_flight_attempts::Notes;
use super::markers::{Locks, Marker};
use super::offsets::OffsetKey;
use super::parking::Queues;
use super::replays::{Replay, stored_event};
use super::tx::Writes;
use super::{AuditEntry, Failpoint, MemoryLog, MemoryTx, lock};
use crate::outbox_health::OutboxLag;
use crate::replay::StoredEvent;
use crate::store::{Claim, Store};
use crate::{Error, ErrorKind, Message, MessageId};

/// Implements every store trait in memory, with user-defined numbers and texts ([`MemoryTx::add`]) for handlers to
/// write.
///
/// A statement that needs a row of another open transaction (a claim of the same id) returns [`ErrorKind::Conflict`] at
/// once; a real database would wait first. A clone is a handle to the same database.
#[derive(Clone)]
pub struct MemoryStore {
    pub(super) database: Arc<Database>,
}

/// The committed state and the row locks.
pub(super) struct Database {
    tables: Mutex<Tables>,
    pub(super) clock: Clock,
    pub(super) log: Option<MemoryLog>,
}

#[derive(Default)]
pub(super) struct Tables {
    pub(super) markers: BTreeMap<(String, MessageId), Marker>,
    pub(super) offsets: BTreeMap<OffsetKey, i64>,
    /// The longest dedup window that the consumers have recorded.
    pub(super) windows: BTreeMap<String, Duration>,
    /// For each consumer with removed markers: the time since which its markers are complete.
    pub(super) complete_since: BTreeMap<String, Timestamp>,
    pub(super) failed_messages: BTreeMap<i64, StoredMessage>,
    pub(super) last_failed_message: i64,
    pub(super) queues: Queues,
    pub(super) locks: Locks,
    numbers: BTreeMap<String, i64>,
    texts: BTreeMap<String, String>,
    /// All published messages, including republications.
    outbox: Vec<Message>,
    pub(super) events: Vec<StoredEvent>,
    pub(super) in_flight_attempts: BTreeMap<(String, MessageId), Notes>,
    /// Failure reasons by event and scope.
    pub(super) failures: BTreeMap<(MessageId, String), String>,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) replays: Vec<Replay>,
    pub(super) lag: Option<OutboxLag>,
    failpoints: VecDeque<(Failpoint, ErrorKind)>,
    open: BTreeSet<u64>,
    last_tx: u64,
}

impl MemoryStore {
    /// Creates an empty database; [`outbox`](Self::outbox) returns its published events.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// Creates an empty database with a log as outbox: a commit appends its events to the log atomically.
    pub fn with_log(log: &MemoryLog) -> Self {
        Self::with(Some(log.clone()))
    }

    fn with(log: Option<MemoryLog>) -> Self {
        let database = Database { tables: Mutex::default(), clock: Clock::new(), log };
        Self { database: Arc::new(database) }
    }

    /// Makes the next call that reaches `failpoint` fail once with an error of `kind`. Repeated calls queue up.
    pub fn fail_next(&self, failpoint: Failpoint, kind: ErrorKind) {
        self.tables(|tables| tables.failpoints.push_back((failpoint, kind)));
    }

    /// Returns a committed number, 0 if it is not set.
    pub fn get(&self, key: &str) -> i64 {
        self.database.number(key)
    }

    /// Returns all committed numbers.
    pub fn numbers(&self) -> BTreeMap<String, i64> {
        self.tables(|tables| tables.numbers.clone())
    }

    /// Returns a committed text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.database.text(key)
    }

    /// Returns all published messages: committed events in commit order, and republications.
    pub fn outbox(&self) -> Vec<Message> {
        self.tables(|tables| tables.outbox.clone())
    }

    /// Returns the result that a claim of a message would have, or `None` if it would be fresh.
    pub fn marker(&self, consumer: &str, id: &MessageId) -> Option<Claim> {
        let key = (consumer.to_owned(), id.clone());
        self.tables(|tables| tables.markers.get(&key).map(|marker| marker.claim))
    }

    /// Removes a marker, as retention removes old ones.
    pub fn forget_marker(&self, consumer: &str, id: &MessageId) {
        let key = (consumer.to_owned(), id.clone());
        self.tables(|tables| tables.markers.remove(&key));
    }

    /// Returns the audit, oldest first.
    pub fn audit(&self) -> Vec<AuditEntry> {
        self.tables(|tables| tables.audit.clone())
    }

    /// Returns the messages with in-flight attempts, and the number of attempts of each.
    pub fn in_flight_attempts(&self, consumer: &str) -> Vec<(MessageId, usize)> {
        self.tables(|tables| {
            let own = tables.in_flight_attempts.iter().filter(|((owner, _), _)| owner == consumer);
            own.map(|((_, id), notes)| (id.clone(), notes.len())).collect()
        })
    }

    /// Returns recorded failures of this database's events: event, location, reason.
    pub fn failures(&self) -> Vec<(MessageId, String, String)> {
        self.tables(|tables| {
            let known = tables.failures.iter();
            known.map(|((event, scope), reason)| (event.clone(), scope.clone(), reason.clone())).collect()
        })
    }

    /// Sets the lag that the outbox reports. By default there is none, because commits publish at once.
    pub fn pretend_lag(&self, lag: OutboxLag) {
        self.tables(|tables| tables.lag = Some(lag));
    }

    /// Makes the markers of a consumer and the events of a topic older by this time.
    pub fn pretend_older(&self, consumer: &str, topic: &str, by: Duration) {
        let earlier = |at: Timestamp| at.checked_sub(by).unwrap_or(Timestamp::MIN);
        self.tables(|tables| {
            let markers = tables.markers.iter_mut().filter(|((owner, _), _)| owner == consumer);
            markers.for_each(|(_, marker)| marker.processed_at = earlier(marker.processed_at));
            let events = tables.events.iter_mut().filter(|event| *event.message.topic == *topic);
            events.for_each(|event| event.created_at = earlier(event.created_at));
        });
    }

    /// Returns the number of open transactions.
    pub fn open_transactions(&self) -> usize {
        self.tables(|tables| tables.open.len())
    }

    /// Reads or changes the committed state.
    pub(super) fn tables<R>(&self, act: impl FnOnce(&mut Tables) -> R) -> R {
        act(&mut lock(&self.database.tables))
    }

    /// Runs a statement of a transaction: fails after an earlier error, and records its own error.
    pub(super) fn statement<R>(
        &self,
        tx: &mut MemoryTx,
        failpoint: Option<Failpoint>,
        act: impl FnOnce(&mut Tables, &mut MemoryTx) -> Result<R, Error>,
    ) -> Result<R, Error> {
        tx.usable()?;
        let answer = if Arc::ptr_eq(&tx.database, &self.database) {
            self.tables(|tables| {
                failpoint.map_or(Ok(()), |failpoint| tables.pass(failpoint))?;
                act(tables, tx)
            })
        } else {
            Err(Error::new(ErrorKind::Other, "transaction belongs to another store"))
        };
        answer.map_err(|error| tx.abort(error))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Tables {
    /// Returns the error that a test injected here.
    pub(super) fn pass(&mut self, failpoint: Failpoint) -> Result<(), Error> {
        let asked = self.failpoints.iter().position(|(wanted, _)| *wanted == failpoint);
        match asked.and_then(|index| self.failpoints.remove(index)) {
            Some((failpoint, kind)) => {
                Err(Error::new(kind, "a test asked for this failure").with("at", format!("{failpoint:?}")))
            }
            None => Ok(()),
        }
    }

    fn apply(&mut self, writes: Writes, log: Option<&MemoryLog>, now: Timestamp) {
        let markers = writes.markers.into_iter();
        self.markers.extend(markers.map(|(key, marker)| (key, Marker { processed_at: now, ..marker })));
        for (number, failed_message) in writes.failed_messages {
            self.failed_messages.insert(number, failed_message);
            self.queue(number);
        }
        for (number, resolving) in &writes.resolved {
            self.failed_messages
                .get_mut(number)
                .into_iter()
                .for_each(|failed_message| failed_message.resolve(resolving));
        }
        for (number, resolving) in writes.resolved {
            self.left_its_key(number, resolving.at);
        }
        for key in writes.absolved {
            self.in_flight_attempts.remove(&key);
        }
        self.failures.extend(writes.failures);
        for (key, next) in writes.offsets {
            let known = self.offsets.entry(key).or_default();
            *known = next.max(*known);
        }
        for (key, number) in writes.numbers {
            *self.numbers.entry(key).or_default() += number;
        }
        self.texts.extend(writes.texts);
        self.publish(&writes.outbox, log);
        self.events.extend(writes.outbox.into_iter().map(|message| stored_event(message, now)));
    }

    /// Publishes messages.
    pub(super) fn publish(&mut self, messages: &[Message], log: Option<&MemoryLog>) {
        log.into_iter().for_each(|log| log.append(messages));
        self.outbox.extend_from_slice(messages);
    }
}

impl Database {
    pub(super) fn number(&self, key: &str) -> i64 {
        lock(&self.tables).numbers.get(key).copied().unwrap_or_default()
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        lock(&self.tables).texts.get(key).cloned()
    }

    /// Ends a transaction and releases its locks.
    pub(super) fn end(&self, number: u64) {
        let mut tables = lock(&self.tables);
        tables.open.remove(&number);
        tables.locks.release(number);
    }
}

impl Store for MemoryStore {
    type Tx = MemoryTx;

    async fn begin(&self) -> Result<MemoryTx, Error> {
        let number = self.tables(|tables| {
            tables.pass(Failpoint::Begin)?;
            tables.last_tx += 1;
            tables.open.insert(tables.last_tx);
            Ok::<_, Error>(tables.last_tx)
        })?;
        Ok(MemoryTx { database: self.database.clone(), number, writes: Writes::default(), aborted: None })
    }

    async fn commit(&self, mut tx: MemoryTx) -> Result<(), Error> {
        let lost = |error: Error| {
            Error::new(ErrorKind::OutcomeUnknown, "answer of the commit was lost").caused_by(error)
        };
        self.statement(&mut tx, Some(Failpoint::Commit), |tables, tx| {
            tables.pass(Failpoint::CommitUnknownLost).map_err(lost)?;
            let (writes, log) = (std::mem::take(&mut tx.writes), self.database.log.as_ref());
            tables.apply(writes, log, self.database.clock.now());
            tables.pass(Failpoint::CommitUnknownKept).map_err(lost)
        })
    }

    async fn rollback(&self, tx: MemoryTx) -> Result<(), Error> {
        drop(tx);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables(|tables| {
            f.debug_struct("MemoryStore")
                .field("markers", &tables.markers.len())
                .field("failed_messages", &tables.failed_messages.len())
                .field("open_transactions", &tables.open.len())
                .finish_non_exhaustive()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{OutboxRows, Processed};

    #[tokio::test]
    async fn a_failpoint_fails_once_and_says_where() {
        let store = MemoryStore::new();
        store.fail_next(Failpoint::Begin, ErrorKind::Unavailable);
        let refused = store.begin().await.unwrap_err();
        assert_eq!((refused.kind(), refused.context("at")), (ErrorKind::Unavailable, Some("Begin")));
        assert!(store.begin().await.is_ok());
    }

    #[tokio::test]
    async fn a_commit_with_a_lost_answer_kept_everything_or_nothing() {
        for (failpoint, kept) in [(Failpoint::CommitUnknownKept, 1), (Failpoint::CommitUnknownLost, 0)] {
            let log = MemoryLog::new(1);
            let store = MemoryStore::with_log(&log);
            store.fail_next(failpoint, ErrorKind::OutcomeUnknown);
            let mut tx = store.begin().await.unwrap();
            tx.add("orders", 1);
            store.write(&mut tx, &[Message::new("orders", "{}")]).await.unwrap();
            assert_eq!(store.commit(tx).await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
            assert_eq!((store.get("orders"), log.len("orders") as i64), (kept, kept), "{failpoint:?}");
            assert_eq!(store.open_transactions(), 0);
        }
    }

    #[tokio::test]
    async fn a_claim_held_by_an_open_transaction_is_a_conflict_at_once() {
        let store = MemoryStore::new();
        let id = "m-1".parse().unwrap();
        let mut first = store.begin().await.unwrap();
        assert_eq!(crate::claim(&store, &mut first, "billing", &id).await.unwrap(), Claim::Fresh);
        let mut second = store.begin().await.unwrap();
        let refused = crate::claim(&store, &mut second, "billing", &id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        let aborted = store.claim(&mut second, "billing", &[]).await.unwrap_err();
        assert_eq!(aborted.kind(), ErrorKind::Aborted);
        drop(first);
        let mut third = store.begin().await.unwrap();
        assert_eq!(crate::claim(&store, &mut third, "billing", &id).await.unwrap(), Claim::Fresh);
    }
}
