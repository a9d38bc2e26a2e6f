//! The handle of an in-memory database.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::in_transaction;
use messagekit::operations::OutboxLag;
use messagekit::{Claim, Error, ErrorKind, HandlerError, Message, MessageId, Store};
use tokio::sync::Notify;

use super::clock::Clock;
use super::database::Database;
use super::process::Process;
use super::tables::Tables;
use super::writes::Writes;
use super::{AuditEntry, Failpoint, MemoryLog, MemoryTx, lock};

/// Implements every store trait in memory, with user-defined numbers and texts ([`MemoryTx::add`]) for handlers to
/// write.
///
/// A statement that needs a row of another open transaction (a claim of the same id) returns [`ErrorKind::Conflict`] at
/// once; a real database would wait first. A clone is a handle to the same database.
#[derive(Clone)]
pub struct MemoryStore {
    pub(super) database: Arc<Database>,
    pub(super) process: Arc<Process>,
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
        let database = Arc::new(database);
        Self { process: Process::new(&database), database }
    }

    /// Returns a handle as of another process. That process ends when the last clone of the handle is dropped.
    #[must_use]
    pub fn of_another_process(&self) -> Self {
        Self { process: Process::new(&self.database), database: self.database.clone() }
    }

    /// Runs `work` in a transaction and commits it: rows of your own, and changes of tables. If `work` fails, nothing of it remains.
    /// With events it is [`Outbox::transaction`](messagekit::Outbox::transaction).
    ///
    /// In `work`, `?` takes the errors of the database, of messagekit and your own.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # use messagekit::HandlerError;
    /// # use messagekit_memory::MemoryStore;
    /// let store = MemoryStore::new();
    /// let refused = store.transaction(async |tx| {
    ///     tx.add("orders", 1);
    ///     Err::<(), _>(HandlerError::permanent("no credit"))
    /// });
    /// assert_eq!(refused.await.unwrap_err().to_string(), "no credit");
    /// assert_eq!(store.get("orders"), 0);
    /// # });
    /// ```
    ///
    /// # Errors
    /// The error of `work`, or that of [`begin`](Store::begin) or [`commit`](Store::commit). An error of your own is found by
    /// [`Error::cause`](messagekit::Error::cause), and one of the database has its kind. What a constructor
    /// of [`HandlerError`](messagekit::HandlerError) says is not kept, but for `unavailable`: [`ErrorKind::Unavailable`].
    ///
    /// # Cancel safety
    /// A drop rolls back what is not committed. A drop during the commit leaves its outcome unknown.
    pub async fn transaction<R, F>(&self, work: F) -> Result<R, messagekit::Error>
    where
        F: AsyncFnOnce(&mut MemoryTx) -> Result<R, HandlerError>,
    {
        in_transaction(self, work).await
    }

    /// Makes the next call that reaches `failpoint` fail once with an error of `kind`. Repeated calls queue up.
    pub fn fail_next(&self, failpoint: Failpoint, kind: ErrorKind) {
        self.tables(|tables| tables.failpoints.push_back((failpoint, 0, kind)));
    }

    /// Makes the call that reaches `failpoint` as the `nth`, counted from 1, fail once with an error of `kind`.
    pub fn fail_nth(&self, failpoint: Failpoint, nth: usize, kind: ErrorKind) {
        self.tables(|tables| tables.failpoints.push_back((failpoint, nth.saturating_sub(1), kind)));
    }

    /// Makes the `nth` write to the outbox, counted from 1, never return after it has written, as if the process had ended there. Returns a
    /// future that completes when it hangs.
    pub fn hang_after_write(&self, nth: usize) -> impl Future<Output = ()> + Send + use<> {
        let reached = Arc::new(Notify::new());
        self.tables(|tables| tables.hang = Some((nth.saturating_sub(1), reached.clone())));
        async move { reached.notified().await }
    }

    /// Takes back the failures that were requested and not reached, and a requested hang.
    pub fn withdraw_failures(&self) {
        self.tables(|tables| {
            tables.failpoints.clear();
            tables.hang = None;
        });
    }

    /// Returns how often the outbox was written to, by one event or several at once, also by transactions that did not commit.
    pub fn outbox_writes(&self) -> usize {
        self.tables(|tables| tables.outbox_writes)
    }

    /// Returns a committed number, 0 if it is not set.
    pub fn get(&self, key: &str) -> i64 {
        self.database.number(key)
    }

    /// Returns all committed numbers.
    pub fn numbers(&self) -> BTreeMap<String, i64> {
        self.tables(|tables| tables.numbers.clone())
    }

    /// Returns all committed texts.
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.tables(|tables| tables.texts.clone())
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
            own.map(|((_, id), attempts)| (id.clone(), attempts.len())).collect()
        })
    }

    /// Returns recorded failures of this database's events: event, location, reason.
    pub fn failures(&self) -> Vec<(MessageId, String, String)> {
        self.tables(|tables| {
            let known = tables.failures.iter();
            known
                .map(|((event, scope), (reason, _))| (event.clone(), scope.clone(), reason.clone()))
                .collect()
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
    use messagekit::adapter::{Markers, OutboxRows};

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
        assert_eq!(messagekit::claim(&store, &mut first, "billing", &id).await.unwrap(), Claim::Fresh);
        let mut second = store.begin().await.unwrap();
        let refused = messagekit::claim(&store, &mut second, "billing", &id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        let aborted = store.claim(&mut second, "billing", &[]).await.unwrap_err();
        assert_eq!(aborted.kind(), ErrorKind::Aborted);
        drop(first);
        let mut third = store.begin().await.unwrap();
        assert_eq!(messagekit::claim(&store, &mut third, "billing", &id).await.unwrap(), Claim::Fresh);
    }
}
