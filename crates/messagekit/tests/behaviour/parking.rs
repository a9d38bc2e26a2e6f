//! [`OnFailure::ParkKey`]: a failed message and later ones of its key are parked in order; other keys continue.

use std::time::Duration;

use messagekit::adapter::Source;
use messagekit::operations::FailedMessageState;
use messagekit::{
    Consumer, ErrorKind, Message, NoStore, OnFailure, OnUnknown, ParkingLimits, Shutdown, headers,
};
use messagekit_memory::MemoryLog;

use crate::fixture::{
    Action, Builder, CONSUMER, TOPIC, World, apply, names, pass, placed, seconds, start, until,
};
use crate::placeless::Placeless;

fn parking(world: &World) -> Builder {
    world.billing().on_failure(OnFailure::ParkKey)
}

/// Returns the applied messages of a key, in order.
fn applied_of(world: &World, key: &str) -> Vec<String> {
    let prefix = format!("{key}-");
    world.applied().into_iter().filter(|id| id.starts_with(&prefix)).collect()
}

/// Returns the states of failed messages, oldest first.
async fn states(world: &World) -> Vec<(String, FailedMessageState)> {
    let failed_messages = world.failed_messages().await;
    failed_messages
        .into_iter()
        .map(|failed_message| (failed_message.message_id.to_string(), failed_message.state))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_blocked_key_waits_while_others_flow_and_resumes_in_order() {
    let world = World::new(1);
    for n in 1..=10 {
        world.push("a", n).await;
        world.push("b", n).await;
    }
    world.script.always("a-5", Action::Permanent);
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 20).await;
    pass(seconds(60)).await;
    assert_eq!(applied_of(&world, "a"), names("a", 4));
    assert_eq!(applied_of(&world, "b"), names("b", 10), "another key is unaffected");
    assert_eq!(world.script.runs_of("a-6"), [], "what is behind does not run");
    let waiting = (6..=10).map(|n| (format!("a-{n}"), FailedMessageState::Blocked));
    let expected: Vec<_> =
        [("a-5".to_owned(), FailedMessageState::Dead)].into_iter().chain(waiting).collect();
    assert_eq!(states(&world).await, expected);
    let head = world.failed_message("a-5").await;
    assert_eq!((head.parked, head.holds_back), (true, 5));
    let stats = consumer.read();
    assert_eq!((stats.handled, stats.dead, stats.parked), (14, 1, 5));

    world.script.heal();
    world.retry(head.id).await.expect("it is dead");
    for n in 11..=40 {
        world.push("a", n).await;
        pass(Duration::from_millis(n.unsigned_abs() % 7)).await;
    }
    until(|| applied_of(&world, "a").len() == 40).await;
    assert_eq!(applied_of(&world, "a"), names("a", 40));
    until(|| world.committed(0) == 50).await;
    assert!(
        world
            .failed_messages()
            .await
            .iter()
            .all(|failed_message| failed_message.state == FailedMessageState::Resolved)
    );

    world.push("a", 41).await;
    until(|| applied_of(&world, "a").len() == 41).await;
    assert_eq!(world.failed_messages_now(), world.failed_messages().await.len());
    assert!(
        world
            .failed_messages()
            .await
            .iter()
            .all(|failed_message| failed_message.message_id.as_str() != "a-41"),
        "the key is free"
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_delays_its_key_and_changes_no_order() {
    let world = World::new(1);
    world.push_all("a", 6).await;
    world.script.next("a-2", [Action::Fail, Action::Fail]);
    world.script.next("a-4", [Action::Panic]);
    let consumer = start(parking(&world));
    until(|| world.applied().len() == 6).await;
    assert_eq!(world.applied(), names("a", 6));
    assert_eq!(world.script.attempts_of("a-2"), [1, 2, 3]);
    assert_eq!(world.script.attempts_of("a-4"), [1, 1], "its failure among others is not counted");
    assert_eq!(world.script.attempts_of("a-5"), [1], "waiting costs no attempt");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_runs_as_soon_as_its_turn_has_come() {
    let world = World::new(1);
    world.push_all("a", 400).await;
    world.script.next("a-1", [Action::Fail]);
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 400).await;
    let began = tokio::time::Instant::now();
    until(|| world.applied().len() == 400).await;
    assert!(began.elapsed() < seconds(3), "one by one without a pause in between: {:?}", began.elapsed());
    assert_eq!(world.applied(), names("a", 400));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_holds_its_key() {
    let world = World::new(1);
    let broken = Message::new(TOPIC, "not an event")
        .with_key("a")
        .with_header(headers::ID, "broken")
        .with_header(headers::EVENT_TYPE, "orders.order.placed");
    world.publish(broken).await;
    world.push_all("a", 2).await;
    world.push_all("b", 2).await;
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 5).await;
    assert_eq!(world.applied(), names("b", 2));
    let failed_messages = world.failed_messages().await;
    let dead = failed_messages
        .iter()
        .find(|failed_message| failed_message.state == FailedMessageState::Dead)
        .expect("the broken one");
    assert_eq!(failed_messages.len(), 3);
    world.act(messagekit::operations::Action::Discard, dead.id).await.expect("it is open");
    until(|| world.applied().len() == 4).await;
    assert_eq!(applied_of(&world, "a"), names("a", 2));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_no_order_to_keep_is_set_aside_alone() {
    let world = World::new(1);
    let mut keyless = placed("a", 1);
    keyless.key = None;
    world.publish(keyless).await;
    let unknown = Message::new(TOPIC, r#"{"order":"a","n":2}"#)
        .with_key("a")
        .with_header(headers::ID, "a-2")
        .with_header(headers::EVENT_TYPE, "orders.order.paid");
    world.publish(unknown).await;
    world.push("a", 3).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(parking(&world).on_unknown(OnUnknown::DeadLetter));
    until(|| world.committed(0) == 3).await;
    assert_eq!(world.applied(), ["a-3"]);
    let failed_messages = world.failed_messages().await;
    assert_eq!(failed_messages.iter().filter(|failed_message| failed_message.parked).count(), 0);
    assert_eq!((failed_messages.len(), consumer.stop().await.dead), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_never_changes_hits_its_bound_blocks_and_tells() {
    let world = World::new(1);
    world.push_all("a", 20).await;
    world.push("b", 1).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(parking(&world).parking_limits(ParkingLimits { per_key: 5, in_all: 100 }));
    until(|| consumer.stats.connection().blocked == 1).await;
    pass(seconds(600)).await;
    assert_eq!(
        (world.committed(0), world.failed_messages_now()),
        (5, 5),
        "one dead, four behind, the rest in its lane"
    );
    assert_eq!(world.applied().len(), 0, "no message passes");
    assert_eq!(consumer.stats.connection().blocked, 1);

    world.script.heal();
    world.retry(world.failed_message("a-1").await.id).await.expect("it is dead");
    until(|| world.applied().len() == 21).await;
    assert_eq!(applied_of(&world, "a"), names("a", 20));
    assert!(
        world.script.runs_of("a-6").iter().all(|run| run.attempt == 1),
        "waiting in the lane is no attempt"
    );
    until(|| consumer.stats.connection().blocked == 0).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_culprit_without_room_is_tried_again_in_place() {
    let world = World::new(2);
    // Two keys of two partitions.
    world.push("a", 1).await;
    world.push("b", 1).await;
    world.push("b", 2).await;
    world.script.always("a-1", Action::Permanent);
    world.script.plan("b-1", [Action::Take(seconds(1)), Action::Fail, Action::Fail], Action::Apply);
    let consumer = start(parking(&world).parking_limits(ParkingLimits { per_key: 5, in_all: 1 }));
    until(|| world.failed_messages_now() == 1).await;
    world.script.plan("b-1", [Action::Fail, Action::Fail], Action::Apply);
    world.push("b", 3).await;
    until(|| world.applied().len() >= 3).await;
    assert_eq!(world.failed_messages_now(), 1, "there was room for one");
    assert_eq!(applied_of(&world, "b"), names("b", 3));
    consumer.stop().await;
}

/// Returns the result of three events of one key under the default policy of `source`. The first event fails
/// permanently.
async fn by_default<Src: Source>(
    world: &World,
    source: Src,
) -> (Vec<String>, Vec<(String, FailedMessageState)>) {
    world.push_all("a", 3).await;
    world.script.always("a-1", Action::Permanent);
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(source);
    let consumer = start(builder.on_with(world.script.clone(), apply));
    until(|| world.committed(0) == 3).await;
    consumer.stop().await;
    (world.applied(), states(world).await)
}

#[tokio::test(start_paused = true)]
async fn log_to_database_consumer_keeps_key_order_by_default() {
    let world = World::new(1);
    let (applied, failed_messages) = by_default(&world, world.topics()).await;
    assert_eq!(applied, Vec::<String>::new());
    let waiting = ["a-2", "a-3"].map(|id| (id.to_owned(), FailedMessageState::Blocked));
    assert_eq!(failed_messages[..1], [("a-1".to_owned(), FailedMessageState::Dead)]);
    assert_eq!(failed_messages[1..], waiting);
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_order_fails_one_message_alone_by_default() {
    let world = World::new(1);
    let (applied, failed_messages) = by_default(&world, Placeless(world.topics())).await;
    assert_eq!(applied, ["a-2", "a-3"]);
    assert_eq!(failed_messages, [("a-1".to_owned(), FailedMessageState::Dead)]);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_without_a_database_cannot_park() {
    let (log, world) = (MemoryLog::new(1), World::new(1));
    let print = async |_: &mut (), _: Message| Ok(());
    let builder = || {
        Consumer::builder("printing", NoStore::new(log.clone(), "printing.dead"))
            .from(world.topics())
            .on_message("orders.order.placed", print)
    };
    let refused = builder().on_failure(OnFailure::ParkKey).build().expect_err("nothing remembers a key");
    assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
    assert!(refused.to_string().contains("ParkKey needs a database"), "{refused}");
    // The default policy of such a consumer is not `ParkKey`.
    let ended = builder().build().expect("valid").run(Shutdown::new());
    assert!(tokio::time::timeout(Duration::from_millis(10), ended).await.is_err(), "it runs");
}

#[tokio::test(start_paused = true)]
async fn a_late_duplicate_of_what_waits_changes_nothing() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 3).await;
    for n in 1..=3 {
        world.push("a", n).await;
    }
    until(|| world.committed(0) == 6).await;
    assert_eq!((world.applied().len(), world.failed_messages_now()), (0, 3));
    assert_eq!(consumer.stop().await.duplicates, 3);
}

#[tokio::test(start_paused = true)]
async fn each_of_several_consumers_holds_keys_of_its_own() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-1", [Action::Permanent]);
    let first = start(parking(&world));
    until(|| world.committed(0) == 3).await;
    let second = start(world.consumer("shipping").on_failure(OnFailure::ParkKey));
    until(|| world.applied().len() == 3).await;
    assert_eq!(world.applied(), names("a", 3));
    let parked = world.failed_messages().await;
    assert!(parked.iter().all(|failed_message| failed_message.consumer == "billing"));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_person_brings_back_runs_after_what_has_passed_it() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-1", [Action::Permanent]);
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 3).await;
    let head = world.failed_message("a-1").await.id;
    world.act(messagekit::operations::Action::Discard, head).await.expect("it is open");
    until(|| world.applied().len() == 2).await;
    world.act(messagekit::operations::Action::Undo, head).await.expect("it was discarded");
    world.push("a", 4).await;
    until(|| world.committed(0) == 4).await;
    pass(seconds(10)).await;
    assert_eq!(world.applied(), ["a-2", "a-3"], "it holds its key again");
    world.retry(head).await.expect("it is dead");
    until(|| world.applied().len() == 4).await;
    assert_eq!(world.applied(), ["a-2", "a-3", "a-1", "a-4"]);
    consumer.stop().await;
}
