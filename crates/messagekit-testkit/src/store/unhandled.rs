//! What consumers have passed over.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Markers, Positions, UnhandledType};
use messagekit::operations::{DatabaseStatus, UNHANDLED_LIMIT, UnhandledMessages};

use super::OperatorsFixture;
use crate::unique;

fn of(topic: &str, event_type: &str, messages: u64) -> UnhandledType {
    UnhandledType { topic: topic.into(), event_type: event_type.to_owned(), similar: Vec::new(), messages }
}

async fn note<F: OperatorsFixture>(fixture: &F, consumer: &str, types: &[UnhandledType]) {
    fixture.store().note_unhandled(consumer, types).await.expect("they are noted");
    // A consumer has noted its window before.
    fixture.store().note_window(consumer, None).await.expect("the window is recorded");
}

async fn unhandled<F: OperatorsFixture>(fixture: &F, consumer: &str) -> Vec<UnhandledMessages> {
    let all = fixture.store().consumer_statuses().await.expect("the consumers are read");
    let status = all.into_iter().find(|status| status.consumer == consumer);
    status.expect("it has a window").unhandled
}

/// Messages without a handler are counted by topic and type over all notes: what may be misspelt first, and then most messages first. The
/// last similar types count.
pub async fn unhandled_messages_are_counted_by_topic_and_type<F: OperatorsFixture>(fixture: &F) {
    let (consumer, topic, other) = (unique("consumer"), unique("topic"), unique("topic"));
    note(fixture, &consumer, &[of(&other, "palced", 1), of(&topic, "palced", 2)]).await;
    let first = unhandled(fixture, &consumer).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let similar = vec!["placed".to_owned(), "a \"b\", c".to_owned()];
    let palced = UnhandledType { similar: similar.clone(), ..of(&topic, "palced", 2) };
    note(fixture, &consumer, &[palced, of(&topic, "", 7)]).await;
    let known = unhandled(fixture, &consumer).await;
    let known_as =
        |known: &UnhandledMessages| (Arc::clone(&known.topic), known.event_type.clone(), known.messages);
    let expected = [
        (topic.as_str().into(), "palced".to_owned(), 4),
        (topic.as_str().into(), String::new(), 7),
        (other.as_str().into(), "palced".to_owned(), 1),
    ];
    assert_eq!(known.iter().map(known_as).collect::<Vec<_>>(), expected);
    assert_eq!((&known[0].similar, &known[2].similar), (&similar, &Vec::new()));
    assert_eq!(known[0].first_at, first[0].first_at, "the time of the first note stays");
    assert!(known[0].last_at > first[0].last_at, "{known:?}");
}

/// What one consumer passes over is not that of another.
pub async fn unhandled_messages_belong_to_their_consumer<F: OperatorsFixture>(fixture: &F) {
    let (one, other, topic) = (unique("consumer"), unique("consumer"), unique("topic"));
    note(fixture, &one, &[of(&topic, "palced", 1)]).await;
    note(fixture, &other, &[]).await;
    assert_eq!(unhandled(fixture, &other).await, []);
    assert_eq!(unhandled(fixture, &one).await.len(), 1);
}

/// A producer that invents types fills neither the database nor an answer, and types that are known are still counted.
pub async fn unhandled_types_of_a_consumer_are_bounded<F: OperatorsFixture>(fixture: &F) {
    let (consumer, topic) = (unique("consumer"), unique("topic"));
    note(fixture, &consumer, &[of(&topic, "known", 1_000)]).await;
    for hundred in 0..11 {
        let invented: Vec<_> = (0..100).map(|n| of(&topic, &format!("{hundred}-{n:02}"), 1)).collect();
        note(fixture, &consumer, &invented).await;
    }
    note(fixture, &consumer, &[of(&topic, "beyond", 5_000), of(&topic, "known", 1)]).await;
    let known = unhandled(fixture, &consumer).await;
    assert_eq!(known.len(), UNHANDLED_LIMIT as usize);
    assert_eq!((&*known[0].event_type, known[0].messages), ("known", 1_001));
    assert!(known.iter().all(|known| known.event_type != "beyond"), "{known:?}");
}
