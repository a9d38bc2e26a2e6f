//! A replay in memory.

use std::collections::VecDeque;

use jiff::Timestamp;
use messagekit::MessageId;
use messagekit::operations::{ReplayJob, ReplayLease, ReplayState};

/// A replay with internal data of the store.
pub(super) struct Replay {
    pub(super) job: ReplayJob,
    /// Events that are not published yet.
    pub(super) list: VecDeque<MessageId>,
    pub(super) epoch: i64,
    pub(super) leased_until: Option<Timestamp>,
}

impl Replay {
    pub(super) fn is_free(&self, now: Timestamp) -> bool {
        self.job.state == ReplayState::Running && self.leased_until.is_none_or(|until| until <= now)
    }

    pub(super) fn is_leased_as(&self, lease: ReplayLease) -> bool {
        self.job.state == ReplayState::Running && self.job.id == lease.job && self.epoch == lease.epoch
    }
}
