//! Telling the group how far the lanes are handled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::lane::Stage;
use super::{HINT_INTERVAL, Member};
use crate::context::Context;
use crate::error::commit_may_be_repeated;

/// How long a commit is repeated while the group is being divided.
pub(super) const COMMIT_DEADLINE: Duration = Duration::from_secs(5);
const REPEAT: Duration = Duration::from_millis(50);

/// Where a partition is to go on.
pub(super) type NextOf = (Arc<str>, i32, i64);

impl Member {
    /// Sends the handled prefixes now and then, so that a process that dies repeats little. The client does not confirm such a
    /// commit and may drop it, so it counts for nothing.
    pub(super) fn hint(&mut self) {
        let now = Instant::now();
        if now < self.next_hint {
            return;
        }
        self.next_hint = now + HINT_INTERVAL;
        let mut next = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.stage != Stage::Opening) {
            if let Some(offset) = lane.moved().filter(|offset| *offset != lane.hinted) {
                lane.hinted = offset;
                next.push((lane.topic.clone(), lane.partition, offset));
            }
        }
        if !next.is_empty()
            && let Err(error) = commit(&self.consumer, &next, CommitMode::Async)
        {
            tracing::debug!(consumer = &*self.name, %error, "places were not sent");
        }
    }
}

/// Commits and waits for the answer; repeats what passes by itself until the deadline.
pub(super) fn commit_for_sure(
    consumer: &BaseConsumer<Context>,
    next: &[NextOf],
    deadline: Instant,
) -> KafkaResult<()> {
    if next.is_empty() {
        return Ok(());
    }
    loop {
        match commit(consumer, next, CommitMode::Sync) {
            Err(KafkaError::ConsumerCommit(code))
                if commit_may_be_repeated(code) && Instant::now() < deadline =>
            {
                std::thread::sleep(REPEAT);
            }
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => return Ok(()),
            answer => return answer,
        }
    }
}

fn commit(consumer: &BaseConsumer<Context>, next: &[NextOf], mode: CommitMode) -> KafkaResult<()> {
    let mut partitions = TopicPartitionList::with_capacity(next.len());
    for (topic, partition, offset) in next {
        partitions.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    consumer.commit(&partitions, mode)
}
