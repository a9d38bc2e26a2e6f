//! Committing the handled offsets of lanes to the group.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::Member;
use super::commit_in_flight::CommitInFlight;
use super::lane::{Lane, NextOf, Stage};
use crate::background::{Answer, ask};
use crate::context::Context;
use crate::error::commit_may_be_repeated;

/// The interval of hints: unconfirmed commits of the handled prefix.
const HINT_INTERVAL: Duration = Duration::from_millis(500);

/// How long a commit is retried while the group rebalances.
pub(super) const COMMIT_DEADLINE: Duration = Duration::from_secs(5);
const REPEAT: Duration = Duration::from_millis(50);

/// An offset that has not changed for this long since its hint is committed with confirmation.
const STILL: Duration = Duration::from_secs(2);

/// How long to wait after a refused confirmation: the cause may last, such as a missing right.
const CONFIRM_AGAIN: Duration = Duration::from_secs(10);

impl Member {
    /// Waits a short time for the commits in flight: none may arrive after a later commit of this member or of the
    /// next owner.
    pub(super) fn commits_end(&mut self) {
        self.opening.take().into_iter().chain(self.confirming.take()).for_each(CommitInFlight::ends);
    }

    /// Sends the handled prefixes from time to time, so that a crashed process repeats little. The client does not
    /// confirm such a commit and may drop it, so the offset does not count as durable.
    pub(super) fn hint(&mut self) {
        let now = Instant::now();
        if now < self.next_hint {
            return;
        }
        self.next_hint = now + HINT_INTERVAL;
        let mut next = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.stage != Stage::Opening) {
            if let Some(offset) = lane.moved().filter(|offset| *offset != lane.hinted) {
                (lane.hinted, lane.hinted_at) = (offset, now);
                next.push(lane.next_at(offset));
            }
        }
        if !next.is_empty()
            && let Err(error) = commit(&self.consumer, &next, CommitMode::Async)
        {
            tracing::debug!(consumer = &*self.name, %error, "places were not sent");
        }
        self.confirm(now);
    }

    /// Commits, with confirmation, the offsets of lanes that do not advance. The client may drop a hint during a
    /// rebalance; without a confirmation the group would stay a record behind until the next message.
    fn confirm(&mut self, now: Instant) {
        if let Some(confirming) = self.confirming.take() {
            match confirming.answered() {
                Poll::Pending => {
                    self.confirming = Some(confirming);
                    return;
                }
                Poll::Ready(Some(Ok(()))) => {
                    for (id, offset) in confirming.lanes {
                        self.lane(id).into_iter().for_each(|lane| lane.confirmed = Some(offset));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(consumer = &*self.name, %error, "places are not written down yet");
                    self.next_confirming = now + CONFIRM_AGAIN;
                }
                Poll::Ready(None) => {}
            }
        }
        let is_ours = self.step.is_none() && !self.consumer.assignment_lost();
        if is_ours && now >= self.next_confirming {
            self.confirming = self.commit_once(now, |lane| {
                let still = lane.moved() == Some(lane.hinted) && now.duration_since(lane.hinted_at) >= STILL;
                let is_due = lane.stage == Stage::Open && still && lane.confirmed != Some(lane.hinted);
                is_due.then_some(lane.hinted)
            });
        }
    }

    /// Begins one commit of the lanes' offsets; `None` if there are none. It does not retry, because a retry could
    /// overtake a later offset: the next call decides anew.
    pub(super) fn commit_once(
        &self,
        now: Instant,
        place: impl Fn(&Lane) -> Option<i64>,
    ) -> Option<CommitInFlight> {
        let (mut lanes, mut next) = (Vec::new(), Vec::new());
        for lane in self.lanes.values() {
            let Some(offset) = place(lane) else { continue };
            lanes.push((lane.id, offset));
            next.push(lane.next_at(offset));
        }
        if lanes.is_empty() {
            return None;
        }
        Some(CommitInFlight { lanes, answer: begin_commit(&self.consumer, next, now) })
    }
}

/// Commits and waits for the answer until the deadline; retries transient errors while this member owns the
/// partitions.
pub(super) fn commit_for_sure(
    consumer: &Arc<BaseConsumer<Context>>,
    next: Vec<NextOf>,
    deadline: Instant,
) -> KafkaResult<()> {
    if next.is_empty() {
        return Ok(());
    }
    let answer = begin_commit(consumer, next, deadline);
    let left = deadline.saturating_duration_since(Instant::now());
    answer.within(left).unwrap_or(Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut)))
}

/// Commits on another thread: the client waits without a limit for an unreachable broker.
fn begin_commit(
    consumer: &Arc<BaseConsumer<Context>>,
    next: Vec<NextOf>,
    deadline: Instant,
) -> Answer<KafkaResult<()>> {
    let consumer = Arc::clone(consumer);
    // Drop the client before the answer is sent: it leaves the group with its last reference.
    ask("commit", move || commit_repeated(&consumer, &next, deadline))
}

fn commit_repeated(consumer: &BaseConsumer<Context>, next: &[NextOf], deadline: Instant) -> KafkaResult<()> {
    loop {
        match commit(consumer, next, CommitMode::Sync) {
            Err(KafkaError::ConsumerCommit(code))
                if commit_may_be_repeated(code)
                    && !consumer.assignment_lost()
                    && Instant::now() < deadline =>
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
    for NextOf { topic, partition, offset, metadata } in next {
        partitions.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        if let Some(mut element) = partitions.find_partition(topic, *partition) {
            element.set_metadata(metadata);
        }
    }
    consumer.commit(&partitions, mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kafka;

    #[test]
    fn a_commit_ends_at_its_deadline_when_the_broker_is_away() {
        let config = Kafka::new("127.0.0.1:1").consumer("billing", None);
        let consumer: BaseConsumer<Context> = config.create_with_context(Context::default()).unwrap();
        let begin = Instant::now();
        let limit = Duration::from_millis(300);
        let answer = commit_for_sure(
            &Arc::new(consumer),
            vec![NextOf { topic: "orders".into(), partition: 0, offset: 1, metadata: String::new() }],
            begin + limit,
        );
        assert!(answer.is_err());
        assert!(begin.elapsed() < Duration::from_secs(60), "it took {:?}", begin.elapsed());
    }
}
