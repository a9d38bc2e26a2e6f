//! Mistakes that stop nothing are logged once: a topic that does not exist, a type that no handler takes.

use messagekit::{Envelope, HandlerError, Message, headers};
use messagekit_memory::MemoryTx;
use serde_json::Value;

use crate::fixture::{TOPIC, World, pass, seconds, start, until};
use crate::log::Log;

#[tokio::test(start_paused = true)]
async fn a_missing_topic_is_named_with_similar_ones_at_the_start() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    world.push("a", 1).await;
    let source = world.log.topics([TOPIC, "orders.ordre", "parcels.parcel"]);
    let consumer = start(world.billing_from(source));
    until(|| world.applied().len() == 1).await;
    pass(seconds(60)).await;
    let lines = log.lines("topic does not exist");
    let [typo, new] = &lines[..] else { panic!("one line for each: {lines:?}") };
    for part in ["WARN", "consumer=\"billing\"", "topic=orders.ordre", "similar=\"orders.order\""] {
        assert!(typo.contains(part), "{part} in {typo}");
    }
    assert!(new.contains("topic=parcels.parcel") && !new.contains("similar="), "{new}");
    assert!(new.contains("INFO"), "a service that starts first is no mistake: {new}");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_type_without_a_handler_is_logged_once_and_counted() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    let of_type =
        |event_type: &'static str| Message::new(TOPIC, "{}").with_header(headers::EVENT_TYPE, event_type);
    world
        .publish_all(
            &["orders.order.cancelled", "orders.order.changed", "orders.order.cancelled"].map(of_type),
        )
        .await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 3).await;
    let lines = log.lines("no handler for this event type");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, event_type) in lines.iter().zip(["cancelled", "changed"]) {
        assert!(line.contains("INFO") && line.contains(event_type), "{line}");
    }
    assert_eq!(consumer.stop().await.ignored, 3);
}

#[tokio::test(start_paused = true)]
async fn a_misspelt_type_is_warned_of_once_with_similar_ones() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    let of_type =
        |event_type: &'static str| Message::new(TOPIC, "{}").with_header(headers::EVENT_TYPE, event_type);
    let types = [
        "orders.order.palced",
        "orders.order.cancelled",
        "orders.order.palced",
        "forged\n2026 WARN line\u{1b}[31m",
    ];
    world.publish_all(&types.map(of_type)).await;
    world.push("a", 1).await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 5).await;
    let lines = log.lines("no handler for this event type");
    let [warned, other, forged] = &lines[..] else { panic!("one line for each type: {lines:?}") };
    for part in [
        "WARN",
        "consumer=\"billing\"",
        "event_type=\"orders.order.palced\"",
        "similar=\"orders.order.placed\"",
        "messagekit replay start --type",
    ] {
        assert!(warned.contains(part), "{part} in {warned}");
    }
    for line in [other, forged] {
        assert!(line.contains("INFO") && !line.contains("similar="), "{line}");
    }
    assert!(forged.contains(r"forged\n2026 WARN line\u{1b}[31m"), "{forged}");
    assert_eq!((world.applied().len(), consumer.stop().await.ignored), (1, 4));
}

#[test]
fn a_text_that_is_almost_a_known_type_is_warned_of_at_the_build() {
    async fn note(_: &mut MemoryTx, _: Envelope<Value>) -> Result<(), HandlerError> {
        Ok(())
    }
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    let builds = |event_type: &str| {
        world.billing().on_json(event_type, note).build().map(drop).expect("both types may exist");
        log.lines("almost that of a known event")
    };
    assert_eq!(builds("orders.order.replaced"), [""; 0], "another word is another type");
    let lines = builds("orders.order.palced");
    let [warned] = &lines[..] else { panic!("one line: {lines:?}") };
    for part in [
        "WARN",
        "consumer=\"billing\"",
        "event_type=\"orders.order.palced\"",
        "known=\"orders.order.placed\"",
        "`Event::TYPE`",
    ] {
        assert!(warned.contains(part), "{part} in {warned}");
    }
}
