//! Versions of an event's data: handlers by major version, upcasters, and the policy for minor versions.

use std::sync::{Arc, Mutex};

use messagekit::adapter::codec;
use messagekit::operations::FailedMessageState;
use messagekit::{
    Consumer, Envelope, ErrorKind, Event, EventRegistry, HandlerError, Message, OnNewerMinor, headers,
};
use messagekit_memory::MemoryTx;
use serde::{Deserialize, Serialize};

use crate::fixture::{Builder, CONSUMER, FIFTY, TOPIC, World, id, start, until};

const TYPE: &str = "orders.order.billed";

#[derive(Debug, Serialize, Deserialize, Event)]
#[event(type = "orders.order.billed", key = "order", version = "1.1")]
struct BilledV1 {
    order: String,
    pence: i64,
}

#[derive(Debug, Serialize, Deserialize, Event)]
#[event(type = "orders.order.billed", key = "order", version = "2.0", upcast_from = BilledV1)]
struct BilledV2 {
    order: String,
    amount: i64,
    currency: String,
}

impl From<BilledV1> for BilledV2 {
    fn from(old: BilledV1) -> Self {
        Self { order: old.order, amount: old.pence, currency: "GBP".into() }
    }
}

#[derive(Debug, Serialize, Deserialize, Event)]
#[event(type = "orders.order.billed", key = "order", version = "3.2", upcast_from = BilledV2)]
struct Billed {
    order: String,
    total: Total,
}

#[derive(Debug, Serialize, Deserialize)]
struct Total {
    amount: i64,
    currency: String,
}

impl TryFrom<BilledV2> for Billed {
    type Error = String;

    fn try_from(old: BilledV2) -> Result<Self, String> {
        if old.currency.len() != 3 {
            return Err("currency has no three letters".into());
        }
        Ok(Self { order: old.order, total: Total { amount: old.amount, currency: old.currency } })
    }
}

/// A struct that reads its own version only.
#[derive(Debug, Serialize, Deserialize, Event)]
#[event(type = "orders.order.billed", key = "order", version = "3.2")]
struct OnlyV3 {
    order: String,
    total: Total,
}

/// Returns a bill as a program of that version wrote it; `n` is its amount.
fn bill(version: &str, n: i64) -> Message {
    let data = match &version[..1] {
        "1" => format!(r#""pence":{n}"#),
        "2" => format!(r#""amount":{n},"currency":"EUR""#),
        _ => format!(r#""total":{{"amount":{n},"currency":"USD"}}"#),
    };
    let payload = format!(r#"{{"eventId":"b-{n}","dataVersion":"{version}","order":"o",{data}}}"#);
    Message::new(TOPIC, payload).with_key(format!("o-{n}")).with_header(headers::EVENT_TYPE, TYPE)
}

/// What handlers got, in order.
type Seen = Mutex<Vec<String>>;

async fn on_v1(seen: &Seen, _: &mut MemoryTx, event: Envelope<BilledV1>) -> Result<(), HandlerError> {
    seen.lock()
        .expect("no handler panicked")
        .push(format!("1: {} of {}", event.data.pence, event.data_version));
    Ok(())
}

async fn on_newest(seen: &Seen, _: &mut MemoryTx, event: Envelope<Billed>) -> Result<(), HandlerError> {
    let Total { amount, currency } = &event.data.total;
    seen.lock()
        .expect("no handler panicked")
        .push(format!("3: {amount} {currency} of {}", event.data_version));
    Ok(())
}

async fn on_only_v3(_: &mut MemoryTx, _: Envelope<OnlyV3>) -> Result<(), HandlerError> {
    Ok(())
}

/// Adds all amounts, and refuses the call with a certain one without saying which.
async fn sum(refused: &i64, tx: &mut MemoryTx, events: Vec<Envelope<Billed>>) -> Result<(), HandlerError> {
    if events.iter().any(|event| event.data.total.amount == *refused) {
        return Err(HandlerError::permanent("refused"));
    }
    tx.add("sum", events.iter().map(|event| event.data.total.amount).sum());
    tx.add("calls", 1);
    Ok(())
}

fn consumer(world: &World) -> Builder {
    Consumer::builder(CONSUMER, world.store.clone()).from(world.topics()).batch(FIFTY)
}

fn taken(seen: &Seen) -> Vec<String> {
    seen.lock().expect("no handler panicked").clone()
}

#[tokio::test(start_paused = true)]
async fn data_of_old_versions_is_upcast_step_by_step() {
    let (world, seen) = (World::new(1), Arc::new(Seen::default()));
    world.publish_all(&[bill("1.0", 1), bill("2.0", 2), bill("3.2", 3)]).await;
    let running = start(consumer(&world).on_with(Arc::clone(&seen), on_newest));
    until(|| world.committed(0) == 3).await;
    running.stop().await;
    assert_eq!(world.failed_messages().await, []);
    assert_eq!(
        taken(&seen),
        ["3: 1 GBP of 1.0", "3: 2 EUR of 2.0", "3: 3 USD of 3.2"],
        "the envelope keeps the version that was written"
    );
}

struct Currency(String);

async fn ask(event: Envelope<Billed>) -> Result<Currency, HandlerError> {
    Ok(Currency(event.data.total.currency))
}

async fn write_down(
    tx: &mut MemoryTx,
    event: Envelope<Billed>,
    asked: &Currency,
) -> Result<(), HandlerError> {
    tx.add(asked.0.as_str(), event.data.total.amount);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn both_phases_of_a_handler_get_upcast_data() {
    let world = World::new(1);
    world.publish_all(&[bill("1.0", 1), bill("3.2", 3)]).await;
    let running = start(consumer(&world).on_call(ask, write_down));
    until(|| world.committed(0) == 2).await;
    running.stop().await;
    assert_eq!((world.store.get("GBP"), world.store.get("USD")), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn each_major_version_has_its_handler() {
    let (world, seen) = (World::new(1), Arc::new(Seen::default()));
    world.publish_all(&[bill("3.0", 1), bill("1.0", 2), bill("2.0", 3), bill("1.1", 4)]).await;
    let both = consumer(&world).on_with(Arc::clone(&seen), on_newest).on_with(Arc::clone(&seen), on_v1);
    let running = start(both);
    until(|| world.committed(0) == 4).await;
    running.stop().await;
    assert_eq!(taken(&seen), ["3: 1 USD of 3.0", "1: 2 of 1.0", "3: 3 EUR of 2.0", "1: 4 of 1.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_names_both_versions_and_the_cure() {
    let world = World::new(1);
    world.publish_all(&[bill("1.0", 1), bill("4.0", 2)]).await;
    let running = start(consumer(&world).on(on_only_v3));
    until(|| world.committed(0) == 2).await;
    running.stop().await;
    let old = world.failed_message("b-1").await;
    assert_eq!((old.kind.as_str(), old.state), ("undecodable", FailedMessageState::Dead));
    for part in ["version 1.0", "reads 3.2", "add an upcaster from version 1 ", "then retry"] {
        assert!(old.error.contains(part), "{part}: {}", old.error);
    }
    let new = world.failed_message("b-2").await;
    assert_eq!((new.kind.as_str(), new.state), ("newer_version", FailedMessageState::Dead));
    for part in ["version 4.0", "3.2", "deploy the newer program", "then retry"] {
        assert!(new.error.contains(part), "{part}: {}", new.error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_an_old_version_is_upcast_at_its_retry() {
    let (world, seen) = (World::new(1), Arc::new(Seen::default()));
    world.publish_all(&[bill("1.0", 1), bill("2.0", 2)]).await;
    let running = start(consumer(&world).on(on_only_v3));
    until(|| world.committed(0) == 2).await;
    running.stop().await;
    let dead = world.failed_messages().await;
    assert_eq!(dead.len(), 2);

    // The program with upcasters is deployed.
    let running = start(consumer(&world).on_with(Arc::clone(&seen), on_newest));
    for failed_message in &dead {
        world.retry(failed_message.id).await.unwrap();
    }
    until(|| taken(&seen).len() == 2).await;
    running.stop().await;
    let mut taken = taken(&seen);
    taken.sort();
    assert_eq!(taken, ["3: 1 GBP of 1.0", "3: 2 EUR of 2.0"]);
}

#[tokio::test(start_paused = true)]
async fn one_call_takes_events_of_mixed_versions() {
    let world = World::new(1);
    let versions = ["1.0", "2.0", "3.2"];
    let bills: Vec<Message> = (1..=30).map(|n| bill(versions[n as usize % 3], n)).collect();
    world.publish_all(&bills).await;
    let running = start(consumer(&world).on_batch_with(Arc::new(17), sum));
    until(|| world.committed(0) == 30).await;
    running.stop().await;
    let dead: Vec<String> =
        world.failed_messages().await.into_iter().map(|one| one.received.id.to_string()).collect();
    assert_eq!(dead, ["b-17"], "bisection finds it among three versions");
    assert_eq!(world.store.get("sum"), (1..=30).sum::<i64>() - 17);
    assert!(world.store.get("calls") < 15, "{} calls", world.store.get("calls"));
}

#[tokio::test(start_paused = true)]
async fn data_that_an_upcaster_refuses_is_a_dead_letter() {
    let world = World::new(1);
    let message = |id: &str, data: &str| {
        let payload = format!(r#"{{"eventId":"{id}","dataVersion":"2.0","order":"o",{data}}}"#);
        Message::new(TOPIC, payload).with_header(headers::EVENT_TYPE, TYPE)
    };
    world
        .publish_all(&[message("r-1", r#""amount":1,"currency":"pounds""#), message("r-2", r#""amount":1"#)])
        .await;
    let running = start(consumer(&world).on_with(Arc::new(Seen::default()), on_newest));
    until(|| world.committed(0) == 2).await;
    running.stop().await;
    for (id, text) in [
        ("r-1", "upcaster from version 2.0 refuses the data: currency has no three letters"),
        ("r-2", "missing field `currency`"),
        ("r-2", "data_version 2.0"),
    ] {
        let dead = world.failed_message(id).await;
        assert_eq!(dead.kind, "undecodable");
        assert!(dead.error.contains(text), "{}", dead.error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_minor_version_is_read_unless_a_policy_refuses_it() {
    for (policy, kinds) in
        [(OnNewerMinor::Read, &[][..]), (OnNewerMinor::DeadLetter, &["newer_version", "newer_version"])]
    {
        let world = World::new(1);
        // The second is of a newer minor version of what is upcast.
        world.publish_all(&[bill("3.3", 1), bill("1.2", 2), bill("3.1", 3), bill("1.1", 4)]).await;
        let builder = consumer(&world).on_with(Arc::new(Seen::default()), on_newest).on_newer_minor(policy);
        let running = start(builder);
        until(|| world.committed(0) == 4).await;
        let stats = running.stop().await;
        let dead = world.failed_messages().await;
        let found: Vec<&str> = dead.iter().map(|one| one.kind.as_str()).collect();
        let named =
            |error: &str| error.contains("1.2, newer than 1.1,") || error.contains("3.3, newer than 3.2,");
        assert!(dead.iter().all(|one| named(&one.error)), "{dead:?}");
        assert_eq!(found, kinds);
        assert_eq!(stats.handled, 4 - found.len() as u64);
    }
}

#[test]
fn a_field_that_an_older_minor_version_lacks_is_explained() {
    #[derive(Debug, Serialize, Deserialize, Event)]
    #[event(type = "orders.order.billed", version = "1.4")]
    struct Grown {
        pence: i64,
        currency: String,
    }

    let error = Envelope::<Grown>::decode(&bill("1.0", 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undecodable);
    for part in ["missing field `currency`", "version 1.0", "read as 1.4", "have a default"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn code_outside_of_a_consumer_upcasts_too() {
    let read = Envelope::<Billed>::decode(&bill("1.0", 5)).unwrap();
    assert_eq!((read.data.total.amount, read.data.total.currency.as_str()), (5, "GBP"));
    assert!(Envelope::<OnlyV3>::decode(&bill("1.0", 5)).is_err());
}

#[test]
fn a_time_without_a_zone_is_refused() {
    let payload =
        r#"{"eventId":"b","dataVersion":"1.0","occurredAt":"2026-11-26T12:00:00","order":"o","pence":1}"#;
    let message = Message::new(TOPIC, payload).with_header(headers::EVENT_TYPE, TYPE);
    let error = Envelope::<BilledV1>::decode(&message).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undecodable);
}

async fn on_v1_again(_: &mut MemoryTx, _: Envelope<BilledV1>) -> Result<(), HandlerError> {
    Ok(())
}

async fn on_any(_: &mut MemoryTx, _: Envelope<serde_json::Value>) -> Result<(), HandlerError> {
    Ok(())
}

#[test]
fn two_handlers_for_one_version_are_refused() {
    let world = World::new(1);
    let seen = || Arc::new(Seen::default());
    let twice = consumer(&world).on_with(seen(), on_v1).on(on_v1_again);
    let json = consumer(&world).on_with(seen(), on_v1).on_json(TYPE, on_any);
    let json_first = consumer(&world).on_json(TYPE, on_any).on_with(seen(), on_v1);
    for (builder, text) in [
        (twice, "two handlers for one major version of an event type: keep one"),
        (json, "two handlers for one event type, of which one takes every version: keep one"),
        (json_first, "two handlers for one event type, of which one takes every version: keep one"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn a_registry_reads_every_registered_type_and_version() {
    let registry = EventRegistry::new().with::<Billed>().unwrap().with::<BilledV1>().unwrap();
    let listed: Vec<String> = registry
        .events()
        .iter()
        .map(|event| format!("{} {} {:?}", event.event_type, event.version, event.earlier.len()))
        .collect();
    assert_eq!(listed, [format!("{TYPE} 1.1 0"), format!("{TYPE} 3.2 2")]);

    let v1 = registry.decode(&bill("1.0", 1)).unwrap();
    let v1 = v1.downcast::<Billed>().expect_err("version 1 has a struct of its own");
    assert_eq!(v1.downcast::<BilledV1>().unwrap().data.pence, 1);
    let v2 = registry.decode(&bill("2.0", 2)).unwrap();
    assert_eq!(v2.meta().event_id, id("b-2"));
    assert_eq!(v2.downcast::<Billed>().unwrap().data.total.currency, "EUR");
}

#[test]
fn a_registry_refuses_what_it_does_not_know() {
    let registry = EventRegistry::new().with::<BilledV1>().unwrap();
    let twice = registry.clone().with::<BilledV1>().unwrap_err();
    assert_eq!(
        (twice.kind(), twice.context("event_type"), twice.context("data_version")),
        (ErrorKind::InvalidConfiguration, Some(TYPE), Some("1.1"))
    );
    let message = |fields: &str| Message::new(TOPIC, format!(r#"{{"eventId":"m"{fields}}}"#));
    for (message, text) in [
        (message(r#","eventType":"orders.order.lost""#), "event type is not registered"),
        (message(""), "message has no type"),
        (message(r#","eventType":7"#), "not messagekit JSON"),
        (bill("2.0", 1), "newer than 1.1"),
        (bill("0.9", 1), "add an upcaster from version 0 "),
    ] {
        let error = registry.decode(&message).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable);
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
    let more = r#"{"eventId":"m","eventType":"orders.order.billed","order":"o","pence":1,"more":[1]}"#;
    assert!(registry.decode(&Message::new(TOPIC, more)).is_ok(), "a field more does not matter");
}

#[test]
fn an_upcast_event_is_written_in_the_version_of_its_struct() {
    let read = Envelope::<Billed>::decode(&bill("1.0", 7)).unwrap();
    assert_eq!(read.data_version, "1.0");
    let again = Envelope::<Billed>::decode(&codec::encode(&read, "shop").unwrap()).unwrap();
    assert_eq!((again.data.total.amount, again.data_version.as_str()), (7, "3.2"));
}

#[test]
fn what_is_written_is_read_with_its_own_version() {
    let message = codec::encode(&Envelope::new(BilledV1 { order: "o".into(), pence: 7 }), "shop").unwrap();
    let read = Envelope::<Billed>::decode(&message).unwrap();
    assert_eq!((read.data.total.amount, read.data_version.as_str()), (7, "1.1"));
}

/// A consumer that is replaced by a newer program handles each message once.
#[tokio::test(start_paused = true)]
async fn an_upcast_message_is_handled_once_over_deployments() {
    let (world, seen) = (World::new(1), Arc::new(Seen::default()));
    world.publish(bill("1.0", 1)).await;
    let first = start(consumer(&world).on_with(Arc::clone(&seen), on_v1));
    until(|| world.committed(0) == 1).await;
    first.stop().await;
    world.publish(bill("1.0", 1)).await;
    let second = start(consumer(&world).on_with(Arc::clone(&seen), on_newest));
    until(|| world.committed(0) == 2).await;
    assert_eq!(second.stop().await.duplicates, 1);
    assert_eq!(taken(&seen), ["1: 1 of 1.0"]);
}
