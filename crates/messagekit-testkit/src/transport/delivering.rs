//! Every consumer receives every message in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use messagekit::Message;

use super::{Receiver, TransportFixture, message, publish, text, texts};
use crate::unique;

fn numbered(topic: &Arc<str>, keys: usize, numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers
        .map(|number| message(topic, Some(&format!("k{}", number % keys)), &format!("m{number}")))
        .collect()
}

/// Three hundred messages arrive, with and without keys, in batches of several sizes.
pub async fn delivers_every_message<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let mut sent = BTreeSet::new();
    let mut number = 0;
    for size in [1, 2, 50, 97, 150] {
        let batch: Vec<Message> = (0..size)
            .map(|_| {
                number += 1;
                let key = (number % 3 != 0).then(|| format!("k{}", number % 17));
                message(&topic, key.as_deref(), &format!("m{number}"))
            })
            .collect();
        sent.extend(batch.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()));
        publish(fixture, &batch).await;
    }
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let received = receiver.take_distinct(sent.len()).await;
    assert_eq!(texts(&received).into_iter().collect::<BTreeSet<_>>(), sent);
    receiver.settle(fixture, received).await;
}

/// First deliveries of a key are in the order of publication.
pub async fn keeps_order_per_key<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let batch = numbered(&topic, 5, 0..100);
    for part in batch.chunks(30) {
        publish(fixture, part).await;
    }
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let received = receiver.take_distinct(batch.len()).await;
    let mut seen = BTreeSet::new();
    let mut by_key: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for text in texts(&received).into_iter().filter(|text| seen.insert(text.clone())) {
        let number: usize = text[1..].parse().expect("texts are m and a number");
        by_key.entry(number % 5).or_default().push(number);
    }
    for (key, numbers) in by_key {
        assert!(numbers.is_sorted(), "key k{key} came as {numbers:?}");
    }
    receiver.settle(fixture, received).await;
}

/// A new consumer reads the messages that were published before it joined.
pub async fn new_consumer_starts_at_the_earliest<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    publish(fixture, &numbered(&topic, 3, 0..10)).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &unique("consumer")).await;
    publish(fixture, &numbered(&topic, 3, 10..13)).await;
    let received = receiver.take_distinct(13).await;
    assert!(texts(&received).contains(&"m0".to_owned()));
    receiver.settle(fixture, received).await;
}

/// Each of two consumers receives every message.
pub async fn two_consumers_each_get_all<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    publish(fixture, &numbered(&topic, 3, 0..20)).await;
    let mut first = Receiver::bind(fixture, std::slice::from_ref(&topic), &unique("consumer")).await;
    let all = first.take_distinct(20).await;
    first.settle(fixture, all).await;
    let mut second = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let all = second.take_distinct(20).await;
    second.settle(fixture, all).await;
}

/// A subscriber that waits is woken by a new message.
pub async fn waits_for_what_is_published_later<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    publish(fixture, &numbered(&topic, 1, 0..1)).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &unique("consumer")).await;
    let first = receiver.take_distinct(1).await;
    receiver.settle(fixture, first).await;
    // In its own task: a joined future would be woken together with the receiver.
    let (publisher, late) = (fixture.publisher(), numbered(&topic, 1, 1..2));
    let publishing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        publisher.publish(&late).await
    });
    let received = receiver.take_until("m1").await;
    receiver.settle(fixture, received).await;
    assert!(publishing.await.expect("the publisher ends").iter().all(Result::is_ok));
}

/// A source over several topics yields all of them.
pub async fn reads_every_topic_of_its_source<F: TransportFixture>(fixture: &mut F) {
    let topics = [fixture.topic().await, fixture.topic().await, fixture.topic().await];
    for (topic, number) in topics.iter().zip(0..) {
        publish(fixture, &numbered(topic, 1, number..number + 1)).await;
    }
    let mut receiver = Receiver::bind(fixture, &topics, &unique("consumer")).await;
    let received = receiver.take_distinct(3).await;
    for delivery in &received {
        let number: usize = text(delivery)[1..].parse().expect("texts are m and a number");
        assert_eq!(delivery.message.topic, topics[number], "the message names its topic");
    }
    receiver.settle(fixture, received).await;
}

/// A position identifies one record, and grows with the order of its partition.
pub async fn position_identifies_one_record<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    publish(fixture, &numbered(&topic, 4, 0..40)).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &unique("consumer")).await;
    let received = receiver.take_distinct(40).await;
    let mut positions = BTreeMap::new();
    for delivery in &received {
        let position = delivery.position.clone().expect("the adapter says that deliveries have places");
        assert_eq!(position.topic, topic);
        assert!(position.partition >= 0 && position.offset >= 0, "{position}");
        let known = positions.entry(position.clone()).or_insert_with(|| text(delivery));
        assert_eq!(*known, text(delivery), "two messages stand at {position}");
    }
    assert_eq!(positions.len(), 40);
    receiver.settle(fixture, received).await;
}
