//! How far a consumer is behind.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Delivery, LagProbe, PartitionLag, Subscriber};

use super::{Receiver, TransportFixture, message, publish};
use crate::{DEADLINE, unique};

/// How long a member is polled between two questions.
const POLL: Duration = Duration::from_millis(20);

/// A member, its probe, and the messages that it has not settled.
struct Member<S> {
    receiver: Receiver<S>,
    probe: Arc<dyn LagProbe>,
    held: Vec<Delivery>,
}

impl<S: Subscriber> Member<S> {
    fn new(mut receiver: Receiver<S>) -> Self {
        let probe = receiver.subscriber().lag();
        let probe = probe.expect("a subscriber without a lag probe names the cases of lag in `beyond`");
        Self { receiver, probe, held: Vec::new() }
    }

    /// Receives until `count` messages are held.
    async fn hold(&mut self, count: usize) {
        self.held.extend(self.receiver.take(count - self.held.len()).await);
    }

    /// Settles the first `count` held messages.
    async fn settle<F: TransportFixture>(&mut self, fixture: &F, count: usize) {
        let rest = self.held.split_off(count);
        let first = std::mem::replace(&mut self.held, rest);
        self.receiver.settle(fixture, first).await;
    }

    async fn lag(&self) -> Vec<PartitionLag> {
        let asked = tokio::time::timeout(DEADLINE, self.probe.lag()).await;
        asked.expect("the probe answers before the deadline").unwrap_or_default()
    }

    /// Asks until the partitions lag by `expected` messages together, while the member receives.
    async fn lags_by(&mut self, expected: u64) -> Vec<PartitionLag> {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            self.held.extend(self.receiver.take_while_busy(POLL).await);
            let lag = self.lag().await;
            if !lag.is_empty() && sum(&lag) == expected {
                let idle = lag.iter().filter(|one| one.messages == 0);
                assert!(idle.clone().all(|one| one.oldest.is_zero()), "an age without messages: {lag:?}");
                return lag;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{expected} messages are not settled, the lag is {lag:?}"
            );
        }
    }
}

fn sum(lag: &[PartitionLag]) -> u64 {
    lag.iter().map(|one| one.messages).sum()
}

/// Publishes messages of one key.
async fn one_key<F: TransportFixture>(fixture: &F, topic: &Arc<str>, numbers: std::ops::Range<usize>) {
    let batch: Vec<_> = numbers.map(|number| message(topic, Some("k"), &format!("m{number}"))).collect();
    publish(fixture, &batch).await;
}

/// Messages in work count until they are settled, and an idle partition has no lag.
pub async fn lag_counts_what_is_not_settled<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    one_key(fixture, &topic, 0..10).await;
    let receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &unique("consumer")).await;
    let mut member = Member::new(receiver);
    member.hold(10).await;
    let lag = member.lags_by(10).await;
    assert!(lag.iter().all(|one| one.topic == topic), "another topic than {topic}: {lag:?}");
    let behind: Vec<_> = lag.iter().filter(|one| one.messages > 0).collect();
    assert_eq!(behind.len(), 1, "one key is in one partition: {lag:?}");
    assert!(!behind[0].oldest.is_zero(), "messages without an age: {lag:?}");
    member.settle(fixture, 4).await;
    member.lags_by(6).await;
    member.settle(fixture, 6).await;
    member.lags_by(0).await;
    one_key(fixture, &topic, 10..13).await;
    member.hold(3).await;
    member.lags_by(3).await;
}

/// What is published behind a paused lane counts, although the lane delivers nothing.
pub async fn lag_of_a_paused_lane_grows<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    one_key(fixture, &topic, 0..3).await;
    let receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &unique("consumer")).await;
    let mut member = Member::new(receiver);
    member.hold(3).await;
    let lane = member.held[0].receipt.lane();
    member.receiver.subscriber().pause(lane);
    one_key(fixture, &topic, 3..8).await;
    member.lags_by(8).await;
    member.settle(fixture, 3).await;
    member.lags_by(5).await;
    member.receiver.subscriber().resume(lane);
    member.hold(5).await;
    member.settle(fixture, 5).await;
    member.lags_by(0).await;
}

/// The lags of all members sum up to that of the consumer, and a member that has left tells none.
pub async fn lag_moves_with_the_lanes<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    let batch: Vec<_> = (0..80)
        .map(|number| message(&topic, Some(&format!("key-{number}")), &format!("m{number}")))
        .collect();
    publish(fixture, &batch).await;
    let mut first = Member::new(Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await);
    first.lags_by(80).await;
    let mut second = Member::new(Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await);
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        // Messages of a lane that moves are dropped unsettled, and its next owner receives them.
        tokio::join!(first.receiver.take_while_busy(POLL), second.receiver.take_while_busy(POLL));
        let (a, b) = (first.lag().await, second.lag().await);
        let twice = a
            .iter()
            .any(|one| one.partition.is_some() && b.iter().any(|other| other.partition == one.partition));
        if !a.is_empty() && !b.is_empty() && !twice && sum(&a) + sum(&b) == 80 {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "the members tell {a:?} and {b:?} of 80 messages");
    }
    second.receiver.close().await.expect("a member can leave");
    first.lags_by(80).await;
    assert_eq!(second.lag().await, [], "the lag of a member that has left");
}
