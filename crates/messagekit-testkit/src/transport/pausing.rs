//! Back-pressure by lane.

use std::sync::Arc;

use messagekit::adapter::{Delivery, Lane, Subscriber};

use super::{Receiver, TransportFixture, message, publish, texts};
use crate::unique;

/// Returns more messages of one key than may arrive after a pause.
async fn more_than_is_in_flight<F: TransportFixture>(fixture: &F, topic: &Arc<str>) -> usize {
    let count = fixture.in_flight() + 50;
    let batch: Vec<_> = (0..count).map(|number| message(topic, Some("k"), &format!("m{number}"))).collect();
    for part in batch.chunks(500) {
        publish(fixture, part).await;
    }
    count
}

/// Receives the first message and pauses its lane. Returns the messages that still arrive, in order.
async fn pause_at_the_first<S: Subscriber, F: TransportFixture>(
    fixture: &F,
    receiver: &mut Receiver<S>,
) -> (Lane, Vec<Delivery>) {
    let first = receiver.message().await;
    let lane = first.receipt.lane();
    receiver.subscriber().pause(lane);
    let mut received = vec![first];
    received.extend(receiver.take_while_busy(fixture.quiet()).await);
    (lane, received)
}

/// A pause stops deliveries, except for the few that were in flight.
pub async fn paused_lane_delivers_nothing_more_than_was_in_flight<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    more_than_is_in_flight(fixture, &topic).await;
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let (_, received) = pause_at_the_first(fixture, &mut receiver).await;
    let (more, limit) = (received.len() - 1, fixture.in_flight());
    assert!(more <= limit, "{more} messages came after the pause, {limit} may have been in flight");
    receiver.settle(fixture, received).await;
}

/// A resumed lane continues where it was paused, without a gap.
pub async fn resume_goes_on<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let count = more_than_is_in_flight(fixture, &topic).await;
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let (lane, mut received) = pause_at_the_first(fixture, &mut receiver).await;
    receiver.subscriber().resume(lane);
    received.extend(receiver.take(count - received.len()).await);
    let expected: Vec<String> = (0..count).map(|number| format!("m{number}")).collect();
    assert_eq!(texts(&received), expected);
    receiver.settle(fixture, received).await;
}

/// A late pause of an earlier assignment must not stop the current one.
pub async fn a_lane_of_another_epoch_is_not_paused<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let count = more_than_is_in_flight(fixture, &topic).await;
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let first = receiver.message().await;
    let lane = first.receipt.lane();
    for epoch in [lane.epoch.wrapping_sub(1), lane.epoch + 1] {
        receiver.subscriber().pause(Lane { slot: lane.slot, epoch });
    }
    let mut received = vec![first];
    received.extend(receiver.take(count - 1).await);
    receiver.settle(fixture, received).await;
}
