//! What a consumer keeps in its database.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Claim, ClaimRequest, Failure, Follower, NextOffset, ParkingLimits, Priming, ReceivedMessage, RetryLease,
    SetAsideOutcome, Store, UnhandledType,
};
use crate::{Error, MessageId};

/// The tables of consumers: processed markers, positions, failed messages and their retries, in-flight attempts.
///
/// The marker `(consumer, message id)` is written in the transaction of the handler's effects, so the effects happen once.
/// Positions reveal offsets that a broker has lost, and verify that a transaction is still open before its commit. A failed
/// message is written with its `held` marker in one transaction: the marker prevents a late duplicate from being applied while
/// the failed message is open. Retries run the same handler, in the process that consumes.
///
/// In-flight attempts identify a poison message. An attempt belongs to a message, or to the first messages of a lane as a batch.
/// A batch has an id that no message has: `at:`, the lane's name, `/first`. After an assignment, the consumer records one
/// attempt for the first batch of a lane and handles the batch normally. If an attempt of another run already exists, a process
/// crashed in that batch. The consumer then runs the messages of the batch one at a time and nothing else meanwhile. It records
/// an attempt before each handler: the message with the attempt at the time of a crash is the culprit. Consumers of one process
/// do not wait for each other, so each of them may have recorded an attempt.
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps no processed markers, so it cannot deduplicate",
    note = "a consumer needs a store of an adapter: `messagekit_sqlite::SqliteStore`, or `messagekit::NoStore` without a database"
)]
pub trait Inbox: Store {
    /// Claims messages for `consumer` inside `tx`, in one statement, and returns results in input order.
    ///
    /// A claim waits for another transaction that holds the same id: it is fresh if that transaction rolls back, done if it
    /// commits. A store that cannot wait fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) at once. The second
    /// copy of an id inside one call is not fresh. The claims last as long as the transaction: a rollback makes the messages
    /// fresh again. A `generation` above that of a done marker is fresh; held and discarded messages keep their state. If a
    /// message would be fresh and its key is blocked, the result is [`Claim::KeyBlocked`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) also if another transaction parked an earlier message of a key while
    /// the call waited for it. After a new claim, the later messages are behind it.
    /// A transient error if the connection was lost or another transaction held the id for too long: roll back and retry.
    /// [`ErrorKind::Schema`](crate::ErrorKind::Schema) if the migrations have not been run.
    fn claim(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> impl Future<Output = Result<Vec<Claim>, Error>> + Send;

    /// Records the dedup window of a running consumer, which makes a [cleanup](crate::cleanup) keep its markers for longer;
    /// `None` for messages of any age. The longest recently recorded window counts.
    ///
    /// Returns the time since which the consumer's markers are complete, by the database's clock; `None` if no cleanup has
    /// removed any. A message that was written before that time and has no marker may have been applied. The time never goes
    /// back, and is [`MARGIN`](crate::cleanup::MARGIN) after the newest removed marker. Markers that a cleanup removes after
    /// this call belong to messages outside the recorded window.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> impl Future<Output = Result<Option<Timestamp>, Error>> + Send;

    /// Adds to the numbers of messages that the consumer has passed over, by topic and type, in a separate transaction. A database keeps
    /// [at most 1,000](super::MOST_UNHANDLED_TYPES) types of a consumer, and passes over more.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry, which may count messages twice.
    fn note_unhandled(
        &self,
        consumer: &str,
        types: &[UnhandledType],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns the age of the oldest open failed message that a retry publishes to one of `topics`. The age counts by the
    /// database's clock from the time when it was stored.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn oldest_return(
        &self,
        topics: &[Arc<str>],
    ) -> impl Future<Output = Result<Option<Duration>, Error>> + Send;

    /// Removes claims of this transaction that were fresh or behind a blocked key, whose messages were neither handled nor
    /// stored.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    fn unclaim(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Records positions. It must be the **last** statement of a transaction: if an earlier statement has silently ended the
    /// transaction, this one fails.
    ///
    /// A position only increases. If the consumer reads a log of the same database, this call also moves its fenced cursor. For
    /// topics of other brokers it only records the position.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if the transaction has already ended.
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) if another process has moved the cursor; a retry does not help.
    fn advance(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns the recorded positions of `consumer` for a topic.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn next_of(
        &self,
        consumer: &str,
        topic: &str,
    ) -> impl Future<Output = Result<Vec<NextOffset>, Error>> + Send;

    /// Whether the consumer retries a stored failed message by itself. If false, the consumer retries in place first, sets
    /// aside only dead messages, and handles each message by itself unless batches are enabled.
    const RUNS_AGAIN: bool = true;

    /// Claims the message as held and stores it whole, due again as `failure` says.
    ///
    /// # Errors
    /// A transient error if the database does not answer: nothing was stored, roll back and retry.
    fn set_aside(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// As [`set_aside`](Self::set_aside), and the message blocks its key: later messages of its topic and key are claimed
    /// [`KeyBlocked`](crate::Claim::KeyBlocked) until it is resolved or discarded. It needs a key and a position. If open
    /// failed messages of its key precede it, it waits for them regardless of `failure`.
    ///
    /// Returns [`SetAsideOutcome::Full`] if the parking limit is reached: roll back, and leave the message in its lane.
    ///
    /// # Errors
    /// A transient error if the database does not answer: nothing was stored, roll back and retry.
    fn park(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// Parks messages whose claims in this transaction returned [`KeyBlocked`](crate::Claim::KeyBlocked), in the order of their
    /// positions, behind the failed messages of their keys. Call it after the handlers: no transaction holds the lock of a key
    /// while a handler runs.
    ///
    /// Returns how many messages, counted from the front, fit into the parking limits. If not all of them fit, do not commit:
    /// roll back and end the batch before the first one that does not fit.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if a key was unblocked since the claim: roll back and claim again,
    /// so the key stays unblocked. A transient error if the database does not answer: nothing was stored, roll back and retry.
    fn park_behind(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> impl Future<Output = Result<usize, Error>> + Send;

    /// Leases at most `max` failed messages of `consumer` that are due by database time, oldest due first, for `lease`.
    ///
    /// A lease that ended without a result is due again. It counts as an attempt and a crash, unless it covered a [run of
    /// several](Self::begin_run). Such a lease counts as neither, and the messages of that run are then
    /// [alone](RetryLease::alone). A parked failed message is leased only if no open failed message of its key precedes it.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn lease(
        &self,
        consumer: &str,
        max: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<RetryLease>, Error>> + Send;

    /// Renews the lease of a parked failed message, and records how many messages of its key may run together in it, this one
    /// included. The record is committed before the first handler starts, so a crash during the run leaves a trace.
    ///
    /// Returns that number: `most`, or 1 if no message waits behind the failed message. Returns `None` if the lease is no
    /// longer valid.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Option<u32>, Error>> + Send;

    /// Returns the messages parked behind a failed message in its key, in order: at most `messages` with `bytes` of payload.
    /// The list ends before the first message that is not waiting for its turn.
    ///
    /// # Errors
    /// A transient error if the database does not answer: roll back and retry.
    fn followers(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> impl Future<Output = Result<Vec<Follower>, Error>> + Send;

    /// Marks the failed message and its followers as resolved and their messages as done. It is the last statement of the
    /// handlers' transaction.
    ///
    /// If the failed message is parked, the next one of its key becomes due; the last one unblocks the key. Returns false if
    /// the lease is no longer valid or a follower no longer waits: the caller must then roll back.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if a marker is not held although its failed message is open; a retry
    /// does not help.
    fn resolve(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Records a failed run: the failed message is due again or dead, as `failure` says. A failed message whose retry an
    /// operator requested is dead at once. The lease has counted the attempt; `failure.attempts` is ignored.
    ///
    /// Returns false if the lease is no longer valid: it ended, or its result was recorded before.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry, or let the lease expire.
    fn fail(
        &self,
        consumer: &str,
        leased: &RetryLease,
        failure: &Failure,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Releases the lease without counting the attempt, due after `delay`: for an outage, a conflict or a clean stop.
    ///
    /// Returns false if the lease is no longer valid: it ended, or its result was recorded before.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry, or let the lease expire.
    fn hand_back(
        &self,
        consumer: &str,
        leased: &RetryLease,
        delay: Duration,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Records, in a separate transaction, that the run `by` is about to handle `message`, a message or a batch. Returns the
    /// number of attempts of other runs: runs that crashed, and runs that handle a copy at this moment. Each run of a consumer
    /// has a unique name and at most one attempt per message or batch.
    ///
    /// # Errors
    /// A transient error if the database does not answer: do not run the handler, retry.
    fn begin_attempt(
        &self,
        consumer: &str,
        message: &MessageId,
        by: &str,
    ) -> impl Future<Output = Result<u32, Error>> + Send;

    /// Deletes all attempts of the message or batch, in the transaction that applies it or sets it aside.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if the transaction has already ended.
    fn clear_attempts(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        message: &MessageId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes the attempt of `by`, in a separate transaction: the run did not finish, and its process did not crash. The
    /// attempts of other runs stay.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn withdraw_attempt(
        &self,
        consumer: &str,
        message: &MessageId,
        by: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes the attempts of messages that have a marker, because another process has finished them. The consumer calls it
    /// when it starts.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn clear_finished_attempts(&self, consumer: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns how far the priming of a consumer is; `None` if it was never primed.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn priming(&self, consumer: &str) -> impl Future<Output = Result<Option<Priming>, Error>> + Send;

    /// Begins the next priming of a consumer, in the transaction that stores where it begins, and deletes the own positions of earlier
    /// ones. Returns false, and changes nothing, if the last priming is not number `after`, because another process has begun one;
    /// `after` is 0 for a consumer that was never primed.
    ///
    /// # Errors
    /// As [`write_priming`](Self::write_priming).
    fn begin_priming(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        after: u32,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Writes how far the priming of a consumer is, in the transaction of what it has handled. A frontier never goes back, a finished
    /// priming stays finished, and a value of an earlier priming changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if the transaction has already ended. A transient error if the database does not
    /// answer: roll back and retry.
    fn write_priming(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        priming: Priming,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}
