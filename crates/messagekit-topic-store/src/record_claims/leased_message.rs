//! A failed message that a worker has claimed: its lease is the claim, whose id names both.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::RetryLease;
use messagekit::log::Record;

use super::claim::{ClaimedRecord, RecordClaim};
use super::claim_id::RecordClaimId;

/// A failed message that a worker has leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedMessage {
    /// The lease.
    pub lease: RetryLease,
    /// Its end, by the clock of the database.
    pub until: Timestamp,
}

/// Which leased failed message of a consumer is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseOf {
    /// The one with this number, under this token.
    Token {
        /// The number of the failed message.
        failed_message: i64,
        /// The token of its lease.
        token: i64,
    },
    /// The one whose record is at this position.
    Position {
        /// The topic of the log.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
}

const PREFIX: &str = "failed";

impl RecordClaimId {
    /// Returns the id of the claim on a leased failed message.
    fn of_lease(lease: &RetryLease) -> Self {
        Self::from_text(format!("{PREFIX}-{}-{}", lease.failed_message, lease.token))
    }

    /// Returns whether the claim is on a failed message that came back, and not on records of the log.
    pub fn is_of_failed_message(&self) -> bool {
        self.lease().is_some()
    }

    /// Returns the leased failed message that the claim holds, unless it holds records of a window.
    pub(super) fn lease(&self) -> Option<LeaseOf> {
        let (failed_message, token) =
            self.as_str().strip_prefix(PREFIX)?.strip_prefix('-')?.split_once('-')?;
        Some(LeaseOf::Token { failed_message: failed_message.parse().ok()?, token: token.parse().ok()? })
    }
}

impl LeasedMessage {
    /// Returns the claim on it, if its record has a position.
    pub(super) fn claim(self) -> Option<RecordClaim> {
        let Self { lease, until } = self;
        let id = RecordClaimId::of_lease(&lease);
        let position = lease.received.position?;
        let partition = position.partition;
        let record =
            Record { message: lease.received.message, position, timestamp: None, is_tombstone: false };
        let records = vec![ClaimedRecord { record, attempt: lease.attempt }];
        Some(RecordClaim { id, partition, until, records })
    }

    pub(super) fn is_of(&self, partition: i32) -> bool {
        self.lease.received.position.as_ref().is_some_and(|position| position.partition == partition)
    }

    /// Returns the offset of its record.
    pub(super) fn offset(&self) -> i64 {
        self.lease.received.position.as_ref().map_or(0, |position| position.offset)
    }
}
