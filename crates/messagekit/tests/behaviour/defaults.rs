//! Default settings of a consumer, as documented.

use messagekit::{Consumer, Message, NoStore};
use messagekit_memory::MemoryTx;

use crate::fixture::{CONSUMER, TOPIC, World};
use crate::log::Log;

async fn print(_: &mut (), _: Message) -> Result<(), messagekit::HandlerError> {
    Ok(())
}

#[test]
fn log_to_database_consumer_has_the_printed_default_settings() {
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
fn without_a_database_the_default_is_one_by_one_and_dead_letter() {
    let (world, log) = (World::new(1), Log::default());
    let _lines = log.begin();
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
    assert_eq!(log.lines("the store counts no crashes").len(), 1);
}
