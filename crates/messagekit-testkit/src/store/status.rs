//! The state of a database at a glance.

use std::time::Duration;

use messagekit::adapter::{Markers, ReceivedMessage};
use messagekit::operations::{
    ConsumerStatus, DatabaseStatus, EventFilter, FailedMessageState, ReplayIds, ReplayOrder, Replays,
    RetryRunner, StateCount,
};
use messagekit::{Message, MessageId, headers};

use super::fixture::{begin, claim_now, commit, of_key, park_now, set_aside_now, somebody};
use super::{OperatorsFixture, dead, received, retry_in};
use crate::unique;

async fn status<F: OperatorsFixture>(fixture: &F, consumer: &str) -> Option<ConsumerStatus> {
    let all = fixture.store().consumer_statuses().await.expect("the consumers are read");
    all.into_iter().find(|status| status.consumer == consumer)
}

/// A consumer is known by its markers, and has the time of the newest.
pub async fn status_has_each_consumer_with_a_marker<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    assert_eq!(status(fixture, &consumer).await, None);
    claim_now(&store, &consumer, &received(&unique("topic"), "{}")).await;
    let known = status(fixture, &consumer).await.expect("it has a marker");
    assert!(known.newest_marker_at.is_some() && known.last_activity_at.is_some(), "{known:?}");
    assert_eq!((known.failed_messages, known.blocked_keys, known.retries_due), (vec![], 0, 0));
}

/// A marker whose id is greater than every id to come is not taken for the newest one for ever.
pub async fn newest_marker_is_found_behind_a_foreign_id<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer, topic) = (fixture.store(), unique("consumer"), unique("topic"));
    let foreign = received(&topic, "{}");
    claim_now(&store, &consumer, &ReceivedMessage { id: MessageId::from_stored("zzzz"), ..foreign }).await;
    let newest = async || status(fixture, &consumer).await.and_then(|known| known.newest_marker_at);
    let first = newest().await.expect("it has a marker");
    tokio::time::sleep(Duration::from_millis(5)).await;
    claim_now(&store, &consumer, &ReceivedMessage { id: MessageId::new(), ..received(&topic, "{}") }).await;
    let second = newest().await.expect("it has a marker");
    assert!(second > first, "{second} after {first}");
}

/// Failed messages are counted by state, with those that are due, the oldest, and the blocked keys.
pub async fn status_counts_failed_messages<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer, topic) = (fixture.store(), unique("consumer"), unique("topic"));
    set_aside_now(&store, &consumer, &received(&topic, "{}"), &dead("no")).await;
    let oldest =
        status(fixture, &consumer).await.and_then(|status| status.oldest_failed_at).expect("one is open");
    set_aside_now(&store, &consumer, &received(&topic, "{}"), &retry_in(Duration::ZERO)).await;
    set_aside_now(&store, &consumer, &received(&topic, "{}"), &retry_in(Duration::from_secs(3_600))).await;
    park_now(&store, &consumer, &of_key(&topic, "a", 1), &dead("no")).await;
    let known = status(fixture, &consumer).await.expect("it has failed messages");
    let mut states = known.failed_messages.clone();
    states.sort_by_key(|count| count.state.as_str());
    let two = |state| StateCount { state, failed_messages: 2 };
    assert_eq!(states, [two(FailedMessageState::Dead), two(FailedMessageState::RetryScheduled)]);
    assert_eq!((known.blocked_keys, known.retries_due), (1, 1));
    assert_eq!(known.oldest_failed_at, Some(oldest), "the first one");
}

/// The dedup window of a consumer is the one that its processes recorded.
pub async fn status_has_the_window_of_a_consumer<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let week = Duration::from_secs(7 * 24 * 3_600);
    store.note_window(&consumer, Some(week)).await.expect("the window is recorded");
    let known = status(fixture, &consumer).await.expect("it has a window");
    assert_eq!(known.dedup_window, Some(week));
    store.note_window(&consumer, None).await.expect("the window is recorded");
    let known = status(fixture, &consumer).await.expect("it was recorded");
    assert_eq!(known.dedup_window, None, "a process of it takes messages of any age");
}

/// Running replays are counted.
pub async fn status_counts_running_replays<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    let message = Message::new(topic.as_str(), "{}").with_header(headers::ID, unique("m"));
    let mut tx = begin(&store).await;
    messagekit::adapter::OutboxRows::write(&store, &mut tx, &[message])
        .await
        .expect("the event can be written");
    commit(&store, tx).await;
    assert_eq!(store.outbox_status().await.expect("the outbox is read").running_replays, 0);
    let filter = EventFilter { topic: Some(topic), ..EventFilter::default() };
    let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None };
    store.order_replay(&order, &somebody()).await.expect("a replay can be ordered");
    assert_eq!(store.outbox_status().await.expect("the outbox is read").running_replays, 1);
}

/// A consumer was seen when one of its processes recorded a window, and not for what else the database knows of it.
pub async fn consumer_is_seen_when_it_notes_its_window<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received(&unique("topic"), "{}"), &dead("no")).await;
    let seen = async || store.last_seen(&consumer).await.expect("it is answered");
    assert_eq!(seen().await, None, "it has a failed message, and no process");
    assert!(!RetryRunner::of(&store, &consumer).await.expect("it is answered").is_running);
    store.note_window(&consumer, None).await.expect("the window is recorded");
    let first = seen().await.expect("it has run");
    assert!(first < RetryRunner::SEEN_WITHIN, "{first:?}");
    tokio::time::sleep(Duration::from_millis(5)).await;
    let later = seen().await.expect("it has run");
    assert!(later > first, "time passes in the database: {later:?} after {first:?}");
    let runner = RetryRunner::of(&store, &consumer).await.expect("it is answered");
    assert_eq!((runner.is_running, &runner.consumer), (true, &consumer));
    assert_eq!(store.last_seen(&unique("consumer")).await.expect("it is answered"), None);

    let bookkeeper = format!("{consumer}.queues");
    store.note_window(&bookkeeper, None).await.expect("the window is recorded");
    // A queue whose name ends like a bookkeeper has newer markers, and no process.
    let scope = format!("queue:{consumer}.queues");
    claim_now(&store, &scope, &received(&unique("topic"), "{}")).await;
    let runner = RetryRunner::of(&store, &format!("queue:{consumer}")).await.expect("it is answered");
    assert_eq!((runner.is_running, &runner.consumer), (true, &bookkeeper), "a bookkeeper redelivers it");
}
