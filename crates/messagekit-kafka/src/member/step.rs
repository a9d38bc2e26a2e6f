//! A request of the group that is not answered yet.

use std::collections::BTreeSet;
use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaResult;

use super::known::Committed;
use crate::background::Answer;
use crate::context::Rebalance;

/// The query for the committed offsets of the group.
pub(super) type OffsetsQuery = Answer<KafkaResult<Committed>>;

/// A request of the group that is not answered yet.
pub(super) enum Step {
    /// New partitions. The thread queries their committed offsets at `ask_at`. The client does not rejoin before it
    /// has them, so the query never waits behind a join.
    Assigning { partitions: TopicPartitionList, asked: Option<OffsetsQuery>, ask_at: Instant },
    /// Revoked partitions whose lanes finish their work.
    Revoking { partitions: TopicPartitionList, busy: BTreeSet<messagekit::adapter::Lane>, deadline: Instant },
}

impl Step {
    pub(super) fn into_rebalance(self) -> Rebalance {
        match self {
            Self::Assigning { partitions, .. } => Rebalance::Assign(partitions),
            Self::Revoking { partitions, .. } => Rebalance::Revoke { partitions, lost: false },
        }
    }
}
