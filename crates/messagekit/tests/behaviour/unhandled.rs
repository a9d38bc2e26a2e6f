//! What a consumer passes over, because it has no handler for the type, is counted in its database.

use std::time::Duration;

use messagekit::operations::{DatabaseStatus, UnhandledMessages};
use messagekit::{Delivered, ErrorKind, Message, headers};
use messagekit_memory::Failpoint;

use crate::fixture::{CONSUMER, TOPIC, World, pass, seconds, start, until};
use crate::flaky::{Call, Flaky};
use crate::log::Log;

const CANCELLED: &str = "orders.order.cancelled";
const PALCED: &str = "orders.order.palced";

fn of_type(event_type: &'static str) -> Message {
    Message::new(TOPIC, "{}").with_header(headers::EVENT_TYPE, event_type)
}

async fn unhandled(world: &World) -> Vec<UnhandledMessages> {
    let statuses = world.store.consumer_statuses().await.expect("the consumers are read");
    let status = statuses.into_iter().find(|status| status.consumer == CONSUMER);
    status.map(|status| status.unhandled).unwrap_or_default()
}

/// Returns the types that were passed over, with their numbers.
async fn counts(world: &World) -> Vec<(String, u64)> {
    let unhandled = unhandled(world).await;
    unhandled.into_iter().map(|messages| (messages.event_type, messages.messages)).collect()
}

fn expected(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts.iter().map(|(event_type, messages)| ((*event_type).to_owned(), *messages)).collect()
}

#[tokio::test(start_paused = true)]
async fn messages_without_a_handler_are_counted_while_it_runs() {
    let world = World::new(1);
    world.publish_all(&[CANCELLED, PALCED, CANCELLED].map(of_type)).await;
    world.publish(Message::new(TOPIC, "{}").with_header(headers::EVENT_TYPE, "a\0b")).await;
    world.push("a", 1).await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 5).await;
    pass(seconds(11)).await;
    assert_eq!(counts(&world).await, expected(&[(PALCED, 1), (CANCELLED, 2), ("a", 1)]));
    let similar: Vec<_> = unhandled(&world).await.into_iter().map(|messages| messages.similar).collect();
    assert_eq!(similar, [vec!["orders.order.placed".to_owned()], vec![], vec![]]);

    world.publish(of_type(PALCED)).await;
    until(|| world.committed(0) == 6).await;
    pass(seconds(11)).await;
    assert_eq!(counts(&world).await, expected(&[(PALCED, 2), (CANCELLED, 2), ("a", 1)]));
    consumer.stop().await;
    assert_eq!(counts(&world).await, expected(&[(PALCED, 2), (CANCELLED, 2), ("a", 1)]), "each once");
}

#[tokio::test(start_paused = true)]
async fn a_stop_notes_what_was_passed_over_last() {
    let world = World::new(1);
    world.publish(of_type(PALCED)).await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 1).await;
    assert_eq!(counts(&world).await, []);
    consumer.stop().await;
    assert_eq!(counts(&world).await, expected(&[(PALCED, 1)]));
}

#[tokio::test(start_paused = true)]
async fn an_outage_loses_no_count_of_what_was_passed_over() {
    let world = World::new(1);
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::NoteUnhandled, ErrorKind::Unavailable);
    world.publish(of_type(PALCED)).await;
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| flaky.calls(Call::NoteUnhandled) == 2).await;
    world.publish(of_type(PALCED)).await;
    until(|| world.committed(0) == 2).await;
    assert_eq!(counts(&world).await, []);
    flaky.heal();
    pass(seconds(11)).await;
    assert_eq!(counts(&world).await, expected(&[(PALCED, 2)]));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_rolled_back_counts_once() {
    let world = World::new(1);
    world.publish_all(&[PALCED, PALCED].map(of_type)).await;
    world.push("a", 1).await;
    world.store.fail_next(Failpoint::Commit, ErrorKind::Unavailable);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 3).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.rolled_back, stats.ignored), (1, 2));
    assert_eq!(counts(&world).await, expected(&[(PALCED, 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_delays_a_stop_by_seconds_only() {
    let world = World::new(1);
    let flaky = Flaky::new(&world.store);
    world.publish(of_type(PALCED)).await;
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.committed(0) == 1).await;
    flaky.hang(Call::NoteUnhandled);
    let begun = tokio::time::Instant::now();
    consumer.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_note_notes_it_again() {
    let world = World::new(1);
    let flaky = Flaky::new(&world.store);
    flaky.hang(Call::NoteUnhandled);
    world.publish(of_type(PALCED)).await;
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| flaky.calls(Call::NoteUnhandled) == 1).await;
    flaky.heal();
    consumer.stop().await;
    assert_eq!(counts(&world).await, expected(&[(PALCED, 1)]));
}

#[tokio::test(start_paused = true)]
async fn notes_that_fail_are_warned_of_once() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::NoteUnhandled, ErrorKind::Other);
    world.publish(of_type(PALCED)).await;
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| flaky.calls(Call::NoteUnhandled) == 3).await;
    let lines = log.lines("are not noted yet");
    assert!(lines.len() == 1 && lines[0].contains("WARN"), "{lines:?}");
    assert_eq!(consumer.stop().await.ignored, 1, "it goes on");
}

#[tokio::test(start_paused = true)]
async fn delivered_messages_without_a_handler_are_counted() {
    let world = World::new(1);
    let billing = world.billing().build().unwrap();
    for _ in 0..2 {
        assert_eq!(billing.deliver(of_type(PALCED)).await.unwrap(), Delivered::Ignored);
    }
    assert_eq!(counts(&world).await, expected(&[(PALCED, 2)]));
}
