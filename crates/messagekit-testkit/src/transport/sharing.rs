//! Several members of one consumer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messagekit::Message;
use messagekit::adapter::{Delivery, Incoming};

use super::{Receiver, TransportFixture, message, publish, text, texts};
use crate::{DEADLINE, unique};

/// Returns messages of many keys, enough for every partition.
fn many(topic: &Arc<str>, numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers
        .map(|number| message(topic, Some(&format!("key-{}", number % 40)), &format!("m{number}")))
        .collect()
}

/// Both of two members receive messages, and together they receive all. Once the lanes are divided, no member receives
/// the lanes of the other.
pub async fn members_share_the_work<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    let mut first = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut second = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut missing = BTreeSet::new();
    let end = tokio::time::Instant::now() + DEADLINE;
    // A rebalance of a real broker takes some time: publish until a round is divided.
    for round in 0.. {
        let batch = many(&topic, round * 40..(round + 1) * 40);
        missing.extend(batch.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()));
        publish(fixture, &batch).await;
        let quiet = fixture.quiet();
        let (a, b) = tokio::join!(first.take_while_busy(quiet), second.take_while_busy(quiet));
        let (by_first, by_second): (BTreeSet<String>, BTreeSet<String>) =
            (texts(&a).into_iter().collect(), texts(&b).into_iter().collect());
        first.settle(fixture, a).await;
        second.settle(fixture, b).await;
        missing.retain(|text| !by_first.contains(text) && !by_second.contains(text));
        let divided = !by_first.is_empty() && !by_second.is_empty() && by_first.is_disjoint(&by_second);
        if divided && missing.is_empty() {
            return;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "in round {round} one member got {} messages, the other {}; missing: {missing:?}",
            by_first.len(),
            by_second.len()
        );
    }
}

/// The unhandled messages of a member that leaves go to the one that stays.
pub async fn a_leaving_member_hands_its_lanes_over<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    let mut first = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut second = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    publish(fixture, &many(&topic, 0..80)).await;
    let quiet = fixture.quiet();
    let (a, b) = tokio::join!(first.take_while_busy(quiet), second.take_while_busy(quiet));
    let handled: BTreeSet<String> = texts(&a).into_iter().collect();
    first.settle(fixture, a).await;
    second.close().await.expect("a member can leave");
    drop((second, b));
    let mut seen = handled;
    while seen.len() < 80 {
        let delivery = first.message().await;
        seen.insert(text(&delivery));
        first.settle(fixture, vec![delivery]).await;
    }
}

/// Two members during a join: the first one holds the messages of the lanes that it is asked to revoke.
struct Handover<S> {
    first: Receiver<S>,
    second: Receiver<S>,
    /// The messages of a revoking lane that the first member holds.
    held: Vec<Delivery>,
    done: messagekit::adapter::Done,
}

async fn second_member_joins<F: TransportFixture>(
    fixture: &F,
    topic: &Arc<str>,
) -> Handover<<F::Source as messagekit::adapter::Source>::Subscriber> {
    let consumer = unique("consumer");
    publish(fixture, &many(topic, 0..80)).await;
    let mut first = Receiver::bind(fixture, std::slice::from_ref(topic), &consumer).await;
    let mut by_lane: BTreeMap<_, Vec<Delivery>> = BTreeMap::new();
    for delivery in first.take_distinct(80).await {
        by_lane.entry(delivery.receipt.lane()).or_default().push(delivery);
    }
    let mut second = Receiver::bind(fixture, std::slice::from_ref(topic), &consumer).await;
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        assert!(tokio::time::Instant::now() < end, "no lane with messages was asked for");
        // Poll both: a member that is not polled loses its lanes. Reports stay in their queue when the time is up.
        let quiet = fixture.quiet();
        let (news, moved) = tokio::join!(first.next_within(quiet), second.take_while_busy(quiet));
        let moved: Vec<String> = texts(&moved);
        assert!(moved.is_empty(), "the second member got {moved:?}, which the first one holds");
        if let Ok(Some(Incoming::Revoking { lane, done })) = news
            && let Some(held) = by_lane.remove(&lane)
        {
            let rest = by_lane.into_values().flatten().collect();
            first.settle(fixture, rest).await;
            return Handover { first, second, held, done };
        }
    }
}

/// While `done` is held, the second member does not receive the messages that the first one holds. Afterwards it does.
pub async fn revoked_lane_is_not_reassigned_before_it_is_done<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let Handover { first, mut second, held, done } = second_member_joins(fixture, &topic).await;
    let expected: BTreeSet<String> = texts(&held).into_iter().collect();
    let early = second.take_while_busy(fixture.quiet()).await;
    let early: BTreeSet<String> = texts(&early).into_iter().collect();
    assert!(early.is_disjoint(&expected), "the second member got {early:?}, which the first one still holds");
    drop((held, done));
    let mut first = first;
    let quiet = fixture.quiet();
    let mut seen = BTreeSet::new();
    let end = tokio::time::Instant::now() + DEADLINE;
    while !seen.is_superset(&expected) {
        assert!(tokio::time::Instant::now() < end, "of {expected:?} only {seen:?} came to the second member");
        let (_, moved) = tokio::join!(first.take_while_busy(quiet), second.take_while_busy(quiet));
        seen.extend(texts(&moved));
        second.settle(fixture, moved).await;
    }
}

/// A message that is settled between `Revoking` and the end of `done` is not delivered to the next owner.
pub async fn what_is_settled_while_revoking_counts<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let Handover { mut first, mut second, held, done } = second_member_joins(fixture, &topic).await;
    let settled: BTreeSet<String> = texts(&held).into_iter().collect();
    first.settle(fixture, held).await;
    drop(done);
    // Every partition gets a message behind the settled ones.
    publish(fixture, &many(&topic, 1000..1040)).await;
    let (mut seen, quiet) = (BTreeSet::new(), fixture.quiet());
    let end = tokio::time::Instant::now() + DEADLINE;
    while seen.iter().filter(|text: &&String| text.len() == 5).count() < 40 {
        assert!(tokio::time::Instant::now() < end, "only {seen:?} came after the handover");
        let (a, b) = tokio::join!(first.take_while_busy(quiet), second.take_while_busy(quiet));
        seen.extend(texts(&a));
        seen.extend(texts(&b));
        first.settle(fixture, a).await;
        second.settle(fixture, b).await;
    }
    let again: Vec<&String> = seen.intersection(&settled).collect();
    assert!(again.is_empty(), "settled messages came again: {again:?}");
}

/// A second member receives nothing while the first works, and every unsettled message when it is gone.
pub async fn standby_takes_over<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    publish(fixture, &many(&topic, 0..10)).await;
    let mut first = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut received = first.take(10).await;
    let unsettled = received.split_off(4);
    first.settle(fixture, received).await;
    let waiting = unsettled.iter().map(text).collect::<BTreeSet<_>>();

    // An adapter may already let the second member wait in `bind`.
    let source = fixture.source(&[topic]);
    let (name, quiet) = (consumer.clone(), fixture.quiet());
    let standby = tokio::spawn(async move {
        let subscriber =
            messagekit::adapter::Source::bind(source, &name, &[]).await.expect("a second member can join");
        let mut receiver = Receiver::new(subscriber, &name);
        let first = receiver.message().await;
        (receiver, first)
    });
    tokio::time::sleep(quiet).await;
    assert!(!standby.is_finished(), "the standby got a message while the first member works");
    drop((unsettled, first));
    let (mut second, delivery) = standby.await.expect("the standby takes over");
    let mut seen: BTreeSet<String> = [text(&delivery)].into();
    second.settle(fixture, vec![delivery]).await;
    while !seen.is_superset(&waiting) {
        let delivery = second.message().await;
        seen.insert(text(&delivery));
        second.settle(fixture, vec![delivery]).await;
    }
}
