//! Places where a store in memory can be told to fail.

/// A place where a [`MemoryStore`](super::MemoryStore) fails when a test asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failpoint {
    /// `begin` answers the error.
    Begin,
    /// `claim` answers the error; the transaction is aborted.
    Claim,
    /// `advance` answers the error; the transaction is aborted.
    Advance,
    /// `set_aside` answers the error; the transaction is aborted.
    SetAside,
    /// `park` answers the error; the transaction is aborted.
    Park,
    /// `park_behind` answers the error; the transaction is aborted.
    ParkBehind,
    /// `resolve` answers the error; the transaction is aborted.
    Resolve,
    /// `lease` answers the error and leases nothing.
    Lease,
    /// `begin_run` answers the error and notes nothing.
    BeginRun,
    /// `fail` answers the error and notes nothing.
    Fail,
    /// `hand_back` answers the error and gives nothing back.
    HandBack,
    /// `suspect` answers the error and notes nothing.
    BeginAttempt,
    /// A look at failed messages or an act on them answers the error and changes nothing.
    Operations,
    /// `ping` answers the error.
    Ping,
    /// `commit` answers the error and keeps nothing.
    Commit,
    /// `commit` keeps everything, and its answer is lost: always
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown).
    CommitUnknownKept,
    /// `commit` keeps nothing, and its answer is lost: always [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown).
    CommitUnknownLost,
}
