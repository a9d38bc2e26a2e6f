//! [`OnFailure::Block`]: the lane waits for its failed message, in order, and sets nothing aside.

use std::time::Duration;

use messagekit::log::Record;
use messagekit::{
    Backoff, Consumer, Envelope, ErrorKind, Event, HandlerError, OnFailure, OnUnknown, headers,
};
use messagekit_memory::MemoryTx;
use serde::{Deserialize, Serialize};

use crate::fixture::{
    Action, Builder, CONSUMER, Placed, TOPIC, World, names, pass, placed, seconds, start, until,
};
use crate::flaky::{Call, Flaky};

fn blocking(world: &World) -> Builder {
    world.billing().on_failure(OnFailure::Block)
}

#[tokio::test(start_paused = true)]
async fn blocked_message_retries_with_growing_waits_and_attempts() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    world.script.next("a-2", [Action::Fail; 5]);
    let backoff = Backoff::new(Duration::from_millis(100), 2.0, Duration::from_millis(800));
    let consumer = start(blocking(&world).backoff(backoff));
    until(|| world.script.runs_of("a-2").len() == 4).await;
    assert_eq!(world.applied(), ["a-1"], "what stands before it is applied, what stands behind it is not");

    until(|| world.applied().len() == 5).await;
    assert_eq!(world.applied(), names("a", 5));
    let runs = world.script.runs_of("a-2");
    assert_eq!(world.script.attempts_of("a-2"), [1, 2, 3, 4, 5, 6]);
    for (pair, longest) in runs.windows(2).zip([100, 200, 400, 800, 800]) {
        let waited = (pair[1].at - pair[0].at).as_millis();
        assert!((longest / 2..=longest + 2).contains(&waited), "{waited} ms instead of {longest}");
    }
    assert_eq!(world.failed_messages().await.len(), 0);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn other_lanes_go_on_while_one_is_blocked() {
    let world = World::new(4);
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        world.push_all(key, 10).await;
    }
    world.script.always("a-4", Action::Fail);
    let lane = |record: &Record| record.position.partition;
    let name = |record: &Record| record.message.headers.text(headers::ID).expect("an id").to_owned();
    let records = world.log.records(TOPIC);
    let blocked = records.iter().find(|record| name(record) == "a-4").map(lane);
    let in_lane = records.iter().filter(|record| Some(lane(record)) == blocked).map(name);
    let behind: Vec<String> = in_lane.skip_while(|id| id != "a-4").collect();
    assert!(behind.len() < 40, "the keys are spread");
    let consumer = start(blocking(&world));
    pass(seconds(60)).await;
    let applied = world.applied();
    assert_eq!(applied.len(), 80 - behind.len());
    assert!(applied.iter().all(|id| !behind.contains(id)));

    world.script.heal();
    until(|| world.applied().len() == 80).await;
    assert_eq!(world.applied()[80 - behind.len()..], behind, "in the order of the lane");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_set_aside_whatever_the_error_is() {
    let slow = Action::Take(seconds(60));
    for act in [Action::Fail, Action::Permanent, Action::Panic, Action::Swallow, slow] {
        for culprit in ["a-1", "a-3", "a-6"] {
            let world = World::new(1);
            world.push_all("a", 6).await;
            world.script.always(culprit, act);
            let consumer = start(blocking(&world).deadline(seconds(1)));
            pass(seconds(120)).await;
            let before: Vec<_> = names("a", 6).into_iter().take_while(|id| id != culprit).collect();
            assert_eq!(world.applied(), before, "{act:?}");
            let attempts = world.script.runs_of(culprit).len();
            assert!(attempts > 20, "{act:?}: tried far more often than ten times: {attempts}");
            world.script.heal();
            until(|| world.applied().len() == 6).await;
            assert_eq!(world.applied(), names("a", 6), "{act:?}");
            assert_eq!(world.failed_messages().await.len(), 0);
            let stats = consumer.stop().await;
            assert_eq!((stats.handled, stats.set_aside, stats.dead), (6, 0, 0));
        }
    }
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed", key = "order", version = "2.0", upcast_from = Placed)]
struct PlacedV2 {
    order: String,
}

impl From<Placed> for PlacedV2 {
    fn from(old: Placed) -> Self {
        Self { order: old.order }
    }
}

async fn apply_v2(tx: &mut MemoryTx, event: Envelope<PlacedV2>) -> Result<(), HandlerError> {
    tx.insert("newest", event.data.order);
    tx.add("applied", 1);
    Ok(())
}

/// The policy preserves key order, and a deployment resolves a newer version.
#[tokio::test(start_paused = true)]
async fn a_message_that_this_consumer_cannot_read_blocks_too() {
    let world = World::new(1);
    let newer = r#"{"order":"first","dataVersion":"2.0","eventId":"v-1","eventType":"orders.order.placed"}"#;
    world.publish(messagekit::Message::new(TOPIC, newer)).await;
    world.push("a", 1).await;
    let old = start(blocking(&world));
    pass(seconds(60)).await;
    assert_eq!((world.applied().len(), world.failed_messages().await.len(), world.committed(0)), (0, 0, 0));
    old.stop().await;

    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let new = start(builder.on_failure(OnFailure::Block).on(apply_v2));
    until(|| world.store.get("applied") == 2).await;
    assert_eq!(world.store.text("newest").as_deref(), Some("a"), "the older message came later");
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_message_already_stored_as_failed_never_blocks() {
    let world = World::new(1);
    world.publish(messagekit::Message::new(TOPIC, "{")).await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 1).await;
    consumer.stop().await;
    world.push("a", 1).await;
    world.log.redeliver(CONSUMER);
    let consumer = start(blocking(&world));
    until(|| world.applied().len() == 1).await;
    assert_eq!((consumer.stop().await.duplicates, world.failed_messages().await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn unknown_type_is_dead_lettered_and_does_not_block() {
    let world = World::new(1);
    let unknown = placed("a", 1).with_header(headers::EVENT_TYPE, "orders.order.paid");
    let payload = String::from_utf8(unknown.payload.to_vec()).expect("JSON");
    let mut unknown = unknown;
    unknown.payload = payload.replace("orders.order.placed", "orders.order.paid").into();
    world.publish(unknown).await;
    world.push("a", 2).await;
    let consumer = start(blocking(&world).on_unknown(OnUnknown::DeadLetter));
    until(|| world.committed(0) == 2).await;
    assert_eq!(world.applied(), ["a-2"]);
    assert_eq!(world.failed_message("a-1").await.kind, "unknown_type");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_message_after_a_recovered_one_starts_at_attempt_one() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-1", [Action::Fail, Action::Fail, Action::Take(Duration::from_millis(100))]);
    world.script.next("a-2", [Action::Fail]);
    let flaky = Flaky::new(&world.store);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()).on_failure(OnFailure::Block));
    // The third run of the first message uses up its batch's time; the next transaction meets an outage.
    until(|| world.script.runs_of("a-1").len() == 3).await;
    flaky.fail(Call::Begin, ErrorKind::Unavailable);
    until(|| world.applied().len() == 1).await;
    pass(seconds(1)).await;
    flaky.heal();
    until(|| world.applied().len() == 3).await;
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    assert_eq!(world.script.attempts_of("a-2"), [1, 2]);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_blocked_consumer_stops_at_once() {
    let world = World::new(1);
    world.push_all("a", 1_000).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(blocking(&world).backoff(Backoff::fixed(seconds(300))));
    until(|| world.script.runs().len() == 1).await;
    let requested = tokio::time::Instant::now();
    consumer.stop().await;
    assert!(requested.elapsed() < seconds(1), "{:?}", requested.elapsed());
    assert_eq!((world.committed(0), world.failed_messages().await.len()), (0, 0));
}
