//! What a consumer does when nothing is said: the values that the pages print.

use messagekit::memory::MemoryTx;
use messagekit::{Consumer, Message, NoStore};

use crate::fixture::{CONSUMER, TOPIC, World};

async fn print(_: &mut (), _: Message) -> Result<(), messagekit::HandlerError> {
    Ok(())
}

#[test]
fn between_a_log_and_a_database_every_setting_has_its_printed_value() {
    let world = World::new(1);
    let note = async |_: &mut MemoryTx, _: Message| Ok(());
    let consumer = Consumer::builder(CONSUMER, world.store.clone())
        .from(world.topics())
        .on_message("orders.order.placed", note)
        .build()
        .expect("a name, a source and a handler are enough");
    let expected = [
        r#"Consumer { name: "billing""#,
        r#"router: Router { types: ["orders.order.placed"], unknown: Ignore, .. }"#,
        "middleware: 0",
        "gates: []",
        "on_failure: ParkKey",
        "parking_limits: ParkingLimits { per_key: 1000, in_all: 100000 }",
        "attempts: 10",
        "backoff: Backoff { first: 200ms, factor: 2.0, max: 300s }",
        "deadline: 30s",
        "unavailable_limit: 600s",
        "batch: BatchLimit { messages: 200, time: 50ms }",
        "window: None",
        "key_lanes: 1",
        ".. }",
    ];
    assert_eq!(format!("{consumer:?}"), expected.join(", "));
    assert_eq!(consumer.stats().held_back_by(), None);
}

#[test]
fn without_a_database_a_message_is_handled_by_itself_and_dies_alone() {
    let world = World::new(1);
    let consumer = Consumer::builder(CONSUMER, NoStore::new(world.log.clone(), "dead"))
        .from(world.log.topics([TOPIC]))
        .on_message("orders.order.placed", print)
        .build()
        .expect("complete");
    let said = format!("{consumer:?}");
    let one = format!("batch: BatchLimit {{ messages: 1, time: {:?} }}", std::time::Duration::MAX);
    for setting in ["on_failure: DeadLetter", "gates: []", "attempts: 10", &one] {
        assert!(said.contains(setting), "{setting} in {said}");
    }
}
