//! Failures that a test can inject into an in-memory store.

/// Selects the operation of a [`MemoryStore`](super::MemoryStore) that fails next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failpoint {
    /// `begin` returns the error.
    Begin,
    /// `claim` returns the error; the transaction is aborted.
    Claim,
    /// `advance` returns the error; the transaction is aborted.
    Advance,
    /// `set_aside` returns the error; the transaction is aborted.
    SetAside,
    /// `park` returns the error; the transaction is aborted.
    Park,
    /// `park_behind` returns the error; the transaction is aborted.
    ParkBehind,
    /// `resolve` returns the error; the transaction is aborted.
    Resolve,
    /// `lease` returns the error and leases nothing.
    Lease,
    /// `begin_run` returns the error and changes nothing.
    BeginRun,
    /// `fail` returns the error and changes nothing.
    Fail,
    /// `hand_back` returns the error and changes nothing.
    HandBack,
    /// `begin_attempt` returns the error and changes nothing.
    BeginAttempt,
    /// A query of failed messages or an action returns the error and changes nothing.
    Operations,
    /// `linked_events` returns the error.
    LinkedEvents,
    /// `ping` returns the error.
    Ping,
    /// A write to the outbox returns the error and writes nothing. The transaction goes on, as one of SQLite does after a statement that
    /// was refused.
    OutboxWrite,
    /// `commit` returns the error and commits nothing.
    Commit,
    /// `commit` commits, and its response is lost: always [`OutcomeUnknown`](messagekit::ErrorKind::OutcomeUnknown).
    CommitUnknownKept,
    /// `commit` commits nothing, and its response is lost: always [`OutcomeUnknown`](messagekit::ErrorKind::OutcomeUnknown).
    CommitUnknownLost,
}
