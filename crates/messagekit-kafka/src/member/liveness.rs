//! Detection and replacement of a client that has lost its brokers for good, or was fenced.

use std::task::Poll;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::closing::let_go;
use super::lane::Stage;
use super::replacement::Replacement;
use super::unplaced::Unplaced;
use super::{End, Member};
use crate::background::{Answer, ask, spawn};
use crate::client::GroupClient;
use crate::context::Context;
use crate::link::Event;

/// How long a client may be without contact before another client is tried.
const SILENCE: Duration = Duration::from_secs(20);

/// How long that client may wait for its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member that is fenced again within this time ends, as if another process had its instance id.
const FENCED_AGAIN: Duration = Duration::from_secs(60);

/// How long the first client has after that answer to regain contact: both learn of a broker that returns.
const AGAIN: Duration = Duration::from_secs(10);

impl Member {
    /// Replaces the client if it was fenced, or if it has had no contact for long and the group answers another client.
    ///
    /// A client can lose its brokers for good: a broker that has just restarted may report topics and no brokers.
    /// Then the client drops all addresses and never queries again
    /// (<https://github.com/confluentinc/librdkafka/issues/5301>).
    pub(super) fn replace(&mut self) -> Result<bool, End> {
        let (contact, now) = (self.consumer.context().contact(), Instant::now());
        let replacement = std::mem::take(&mut self.replacement);
        if matches!(replacement, Replacement::Fenced) {
            return self.join_again();
        }
        let Some(lost_since) = contact.lost_since else {
            replacement.give_up();
            return Ok(false);
        };
        self.replacement = match replacement {
            Replacement::None if now.duration_since(lost_since) >= SILENCE => Replacement::Asking(self.ask()),
            Replacement::Vain { until } if now >= until => Replacement::Asking(self.ask()),
            Replacement::Asking(answer) => match answer.poll() {
                Poll::Pending => Replacement::Asking(answer),
                Poll::Ready(Some(Some(client))) => Replacement::Answered { client, at: now },
                Poll::Ready(_) => Replacement::Vain { until: now + SILENCE },
            },
            Replacement::Answered { client, at } if contact.looked >= Some(at + AGAIN) => {
                tracing::warn!(
                    consumer = &*self.name,
                    "this client has lost the brokers, which answer another one: the member joins again"
                );
                self.begin_again(client)?;
                return Ok(true);
            }
            other => other,
        };
        Ok(false)
    }

    /// Returns whether a fenced member joins again: once in a while.
    ///
    /// A member may be fenced without a second process. When a group forgets one that it has asked for partitions, or that was
    /// joining, librdkafka keeps the other partitions, joins without a member id, and sends commits without one. The broker
    /// answers these after the join as those of a second process, which ends the client (`FENCED_INSTANCE_ID` in
    /// `rd_kafka_handle_OffsetCommit_error`; <https://github.com/confluentinc/librdkafka/pull/5585> is about a steady member). The
    /// crate does not show the member id, so that commits cannot wait for it.
    pub(super) fn joins_again_when_fenced(&mut self, now: Instant) -> bool {
        // Whatever else fails in this client.
        if matches!(self.replacement, Replacement::Fenced) {
            return true;
        }
        let is_second = self.fenced_at.is_some_and(|before| now.duration_since(before) < FENCED_AGAIN);
        self.fenced_at = Some(now);
        if is_second {
            return false;
        }
        std::mem::replace(&mut self.replacement, Replacement::Fenced).give_up();
        true
    }

    /// Replaces a fenced client. Without another one the next turn tries again.
    fn join_again(&mut self) -> Result<bool, End> {
        let client = match self.client.unsubscribed() {
            Ok(client) => client,
            Err(error) => {
                self.replacement = Replacement::Fenced;
                self.tell_again(error);
                return Ok(false);
            }
        };
        tracing::warn!(
            consumer = &*self.name,
            "the group has fenced this member's instance id: it joins again, and ends when that happens again within {FENCED_AGAIN:?}"
        );
        self.begin_again(client)?;
        Ok(true)
    }

    fn ask(&self) -> Answer<Option<BaseConsumer<Context>>> {
        let client = self.client.clone();
        ask("ask", move || match client.unsubscribed() {
            Ok(another) => is_answered(&another, &client).then_some(another),
            Err(error) => {
                tracing::warn!(error = %messagekit::chain(&error), "no other client to ask the group with");
                None
            }
        })
    }

    pub(super) fn begin_again(&mut self, client: BaseConsumer<Context>) -> Result<(), End> {
        for (_, lane) in std::mem::take(&mut self.lanes) {
            if lane.stage != Stage::Opening {
                self.events.send(Event::Lost(lane.id));
            }
        }
        (self.opening, self.confirming, self.unplaced) = (None, None, Unplaced::default());
        // Before the other client joins: a commit in flight may keep the old client alive for a while, and it must
        // not join as well.
        self.consumer.context().close();
        self.consumer.unsubscribe();
        let client = self.client.subscribed(client).map_err(End::Permanent)?;
        let (old, step) = (std::mem::replace(&mut self.consumer, client), self.step.take());
        spawn("leave", move || let_go(old, step));
        Ok(())
    }
}

/// Returns whether the group answers a query that any client may send. The content of the answer does not matter, nor
/// a refusal.
fn is_answered(consumer: &BaseConsumer<Context>, client: &GroupClient) -> bool {
    let mut partitions = TopicPartitionList::with_capacity(1);
    for topic in client.topics().take(1) {
        partitions.add_partition(topic, 0);
    }
    match consumer.committed_offsets(partitions, PATIENCE) {
        Ok(_) => true,
        // Codes of the client itself are negative.
        Err(error) => error.rdkafka_error_code().is_some_and(|code| code as i32 >= 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::rebalancing::tests::member;

    #[test]
    fn a_member_joins_again_once_a_minute() {
        let (mut member, first) = (member(), Instant::now());
        assert!(member.joins_again_when_fenced(first));
        assert!(member.joins_again_when_fenced(first), "the same client fails again before it is replaced");
        member.replacement = Replacement::None;
        assert!(!member.joins_again_when_fenced(first + FENCED_AGAIN / 2));
        assert!(member.joins_again_when_fenced(first + FENCED_AGAIN * 2), "a while after the last time");
        member.consumer.context().close();
    }
}
