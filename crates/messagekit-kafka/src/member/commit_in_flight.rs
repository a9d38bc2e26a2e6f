//! A commit whose answer has not arrived.

use std::task::Poll;
use std::time::Duration;

use rdkafka::error::KafkaResult;

use crate::background::Answer;

/// How long a confirmation in flight may delay a last commit.
const CONFIRM_DEADLINE: Duration = Duration::from_millis(500);

/// A commit in flight, and its offsets.
pub(super) struct CommitInFlight {
    pub(super) lanes: Vec<(messagekit::adapter::Lane, i64)>,
    pub(super) answer: Answer<KafkaResult<()>>,
}

impl CommitInFlight {
    /// Returns the answer if it is available; a commit without a thread never gets one.
    pub(super) fn answered(&self) -> Poll<Option<KafkaResult<()>>> {
        self.answer.poll()
    }

    /// Waits a short time for the end of the commit, whatever its result: an unreachable broker must not block the
    /// caller.
    pub(super) fn ends(self) {
        // A later commit contains these offsets again.
        let _ = self.answer.within(CONFIRM_DEADLINE);
    }
}
