//! Messages that are settled, released, or neither.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messagekit::adapter::{Delivery, Incoming, Receipt, Subscriber};

use super::{Receiver, TransportFixture, message, publish, text, texts};
use crate::unique;

/// Publishes `m0`, `m1`, … under one key, which gives them a known order.
async fn one_key<F: TransportFixture>(fixture: &F, topic: &Arc<str>, count: usize) {
    let batch: Vec<_> = (0..count).map(|number| message(topic, Some("k"), &format!("m{number}"))).collect();
    publish(fixture, &batch).await;
}

/// Publishes a sentinel and returns what a consumer receives up to it, each text once.
async fn rest<F: TransportFixture>(fixture: &F, topic: &Arc<str>, consumer: &str) -> BTreeSet<String> {
    publish(fixture, &[message(topic, Some("k"), "end")]).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(topic), consumer).await;
    let received = receiver.take_until("end").await;
    texts(&received).into_iter().filter(|text| text != "end").collect()
}

fn set(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(|number| format!("m{number}")).collect()
}

/// A settled message is not delivered again, to this member or the next.
pub async fn settled_is_not_redelivered<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 10).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let received = receiver.take_distinct(10).await;
    receiver.settle(fixture, received).await;
    receiver.close().await.expect("settled positions can be written");
    drop(receiver);
    assert_eq!(rest(fixture, &topic, &consumer).await, set([]));
}

/// A released message is delivered again, to the same member if it stays.
pub async fn released_is_redelivered<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 3).await;
    let mut receiver = Receiver::bind(fixture, &[topic], &consumer).await;
    let received = receiver.take(3).await;
    assert_eq!(texts(&received), ["m0", "m1", "m2"]);
    receiver.release(received);
    let again = receiver.take(3).await;
    assert_eq!(texts(&again), ["m0", "m1", "m2"], "in the lane's order");
    receiver.settle(fixture, again).await;
}

/// A released message comes before the undelivered messages of its lane.
pub async fn released_comes_before_later_ones<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 7).await;
    let mut receiver = Receiver::bind(fixture, &[topic], &consumer).await;
    let received = receiver.take(5).await;
    receiver.release(received);
    let again = receiver.take(7).await;
    assert_eq!(texts(&again), ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    receiver.settle(fixture, again).await;
}

/// A member that pauses a lane, releases its messages and is replaced loses nothing. Released messages count as unhandled, also
/// when none is in flight.
pub async fn released_in_a_paused_lane_goes_to_the_next_member<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 10).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut received = receiver.take_distinct(10).await;
    let released = received.split_off(4);
    let paused = released[0].receipt.lane();
    receiver.subscriber().pause(paused);
    receiver.settle(fixture, received).await;
    receiver.release(released);
    // Leave time to store positions while nothing is in flight. An adapter may give up the lane and begin another one,
    // which is not paused.
    let early = receiver.take_while_busy(fixture.quiet()).await;
    let in_paused = early.iter().filter(|delivery| delivery.receipt.lane() == paused).count();
    assert_eq!(in_paused, 0, "a paused lane delivered some of {:?}", texts(&early));
    receiver.close().await.expect("settled positions can be written");
    drop((receiver, early));
    let again = rest(fixture, &topic, &consumer).await;
    assert!(again.is_superset(&set(4..10)), "released messages were lost: {again:?}");
    assert!(again.is_disjoint(&set(0..4)), "settled messages came again: {again:?}");
}

/// A member that crashes loses no message.
pub async fn redelivers_when_subscriber_dies_unsettled<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 10).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut received = receiver.take(10).await;
    let unsettled = received.split_off(4);
    receiver.settle(fixture, received).await;
    drop((unsettled, receiver));
    let again = rest(fixture, &topic, &consumer).await;
    assert!(again.is_superset(&set(4..10)), "unsettled messages were lost: {again:?}");
}

/// The next owner of a lane knows it by the same name.
pub async fn lanes_have_the_same_names_in_each_process<F: TransportFixture>(fixture: &mut F) {
    let (topics, consumer) = ([fixture.topic().await, fixture.topic().await], unique("consumer"));
    for topic in &topics {
        one_key(fixture, topic, 1).await;
    }
    let mut known = Vec::new();
    for turned in [false, true] {
        let mut asked = topics.clone();
        if turned {
            asked.reverse();
        }
        let mut receiver = Receiver::bind(fixture, &asked, &consumer).await;
        let mut names = BTreeMap::new();
        while names.len() < topics.len() {
            let delivery = receiver.message().await;
            let name = receiver.name(delivery.receipt.lane());
            names.insert(Arc::clone(&delivery.message.topic), Arc::clone(name));
        }
        receiver.close().await.expect("it can be closed");
        known.push(names);
    }
    assert_eq!(known[0], known[1]);
}

/// Settling in any order skips no unsettled message.
pub async fn settling_out_of_order_loses_nothing<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 30).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let received = receiver.take(30).await;
    let unsettled = [4, 11, 27];
    let (mut settle, keep): (Vec<Delivery>, Vec<Delivery>) =
        received.into_iter().partition(|delivery| !set(unsettled).contains(&text(delivery)));
    fastrand::Rng::with_seed(5).shuffle(&mut settle);
    for delivery in settle {
        receiver.settle(fixture, vec![delivery]).await;
    }
    receiver.close().await.expect("settled positions can be written");
    drop((receiver, keep));
    let again = rest(fixture, &topic, &consumer).await;
    assert!(again.is_superset(&set(unsettled)), "unsettled messages were lost: {again:?}");
    assert!(again.is_disjoint(&set(0..4)), "the settled prefix came again: {again:?}");
}

/// Receipts of an earlier assignment settle nothing of the next one.
pub async fn stale_receipts_change_nothing<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 6).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let first = receiver.take(6).await;
    let stale: Vec<Receipt> = first.into_iter().map(|delivery| delivery.receipt).collect();
    fixture.lose(&consumer).await;
    let second = receiver.take_distinct(6).await;
    receiver.settle_receipts(stale);
    drop((second, receiver));
    assert_eq!(rest(fixture, &topic, &consumer).await, set(0..6));
}

/// A member learns that its lanes are lost before they come back with greater epochs.
pub async fn lost_lanes_come_back_with_greater_epochs<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 3).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let first = receiver.take(3).await;
    let old = first[0].receipt.lane();
    fixture.lose(&consumer).await;
    let mut lost = false;
    let again = loop {
        match receiver.next_within(crate::DEADLINE).await {
            Ok(Some(Incoming::Lost { lane })) => lost |= lane == old,
            Ok(Some(Incoming::Message(delivery))) => break delivery,
            Ok(Some(_)) => {}
            ended => panic!("the lane did not come back: {ended:?}"),
        }
    };
    assert!(lost, "nobody said that {old:?} was lost");
    assert_eq!(text(&again), "m0");
    assert!(again.receipt.lane() > old, "{:?} does not come after {old:?}", again.receipt.lane());
    receiver.settle(fixture, vec![again]).await;
    drop(first);
}

/// Positions follow the order of deliveries of a lane, repeated ones included.
pub async fn positions_grow_within_a_lane<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    one_key(fixture, &topic, 10).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    // The receiver checks every position that it receives.
    let mut received = receiver.take(10).await;
    let back = received.split_off(5);
    receiver.settle(fixture, received).await;
    receiver.release(back);
    let again = receiver.take_distinct(5).await;
    receiver.settle(fixture, again).await;
}
