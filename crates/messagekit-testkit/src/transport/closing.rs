//! Closing a subscriber and joining again.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;

use messagekit::Message;
use messagekit::adapter::{PublishErrorKind, Source, Subscriber};

use super::{Receiver, TransportFixture, message, publish, texts};
use crate::{DEADLINE, unique};

async fn ten<F: TransportFixture>(fixture: &F, topic: &Arc<str>) {
    let batch: Vec<_> = (0..10).map(|number| message(topic, Some("k"), &format!("m{number}"))).collect();
    publish(fixture, &batch).await;
}

/// A close does not wait for receipts: messages in flight count as released.
pub async fn closes_cleanly_with_messages_in_flight<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    ten(fixture, &topic).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let in_flight = receiver.take(6).await;
    receiver.close().await.expect("a close with messages in flight succeeds");
    drop((receiver, in_flight));
    let mut next = Receiver::bind(fixture, &[topic], &consumer).await;
    let received = next.take_distinct(10).await;
    next.settle(fixture, received).await;
}

/// A close makes every earlier settle durable.
pub async fn what_was_settled_before_the_close_stays_settled<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    ten(fixture, &topic).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut received = receiver.take(10).await;
    let in_flight = received.split_off(7);
    receiver.settle(fixture, received).await;
    receiver.close().await.expect("settled positions can be written");
    drop((receiver, in_flight));
    let mut next = Receiver::bind(fixture, &[topic], &consumer).await;
    let received = next.take_distinct(3).await;
    let came: BTreeSet<String> = texts(&received).into_iter().collect();
    assert_eq!(came, ["m7", "m8", "m9"].map(str::to_owned).into());
    next.settle(fixture, received).await;
}

/// After a close the stream ends, and a second close is harmless.
pub async fn yields_nothing_after_a_close<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    ten(fixture, &topic).await;
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    drop(receiver.take(1).await);
    receiver.close().await.expect("a close with messages in flight succeeds");
    let subscriber = receiver.subscriber();
    let next = tokio::time::timeout(DEADLINE, poll_fn(|cx| subscriber.poll_next(cx))).await;
    assert!(matches!(next, Ok(None)), "after a close came {next:?}");
    receiver.close().await.expect("a second close is harmless");
}

/// Messages and positions survive a restart of the process.
pub async fn survives_a_restart<F: TransportFixture>(fixture: &mut F) {
    let (topic, consumer) = (fixture.topic().await, unique("consumer"));
    ten(fixture, &topic).await;
    let mut receiver = Receiver::bind(fixture, std::slice::from_ref(&topic), &consumer).await;
    let mut received = receiver.take(10).await;
    let unsettled = received.split_off(4);
    receiver.settle(fixture, received).await;
    receiver.close().await.expect("settled positions can be written");
    drop((receiver, unsettled));
    fixture.reopen().await;
    let mut receiver = Receiver::bind(fixture, &[topic], &consumer).await;
    let received = receiver.take_distinct(6).await;
    let came: BTreeSet<String> = texts(&received).into_iter().collect();
    assert_eq!(came, (4..10).map(|number| format!("m{number}")).collect());
    receiver.settle(fixture, received).await;
}

/// A hostile topic name is refused permanently when binding and when publishing. Other messages of the batch are published.
pub async fn refuses_a_topic_that_breaks_the_grammar<F: TransportFixture>(fixture: &mut F) {
    let (topic, bad) = (fixture.topic().await, fixture.bad_topics());
    let mut batch: Vec<Message> = bad.iter().map(|name| message(&Arc::from(&**name), None, "m")).collect();
    batch.push(message(&topic, None, "m"));
    let mut published = fixture.publisher().publish(&batch).await;
    let taken = published.pop().expect("one result per message");
    assert!(taken.is_ok(), "a message was refused because of others: {taken:?}");
    for (name, result) in bad.iter().zip(&published) {
        let refusal = result.as_ref().err().map(|error| error.refusal);
        assert_eq!(refusal, Some(PublishErrorKind::Rejected), "publish to topic {name:?}: {result:?}");
    }
    for name in bad {
        let bound = fixture.source(&[Arc::from(&*name)]).bind(&unique("consumer"), &[]).await;
        let error = bound.err().unwrap_or_else(|| panic!("topic {name:?} can be bound"));
        assert!(!error.is_transient(), "{error:?} for topic {name:?} asks for a repetition");
    }
}
