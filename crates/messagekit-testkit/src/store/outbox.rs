//! Events in the transaction of the outbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use messagekit::adapter::OutboxRows;
use messagekit::{Message, Store, headers};

use super::OperatorsFixture;
use super::fixture::{begin, commit};
use crate::{DEADLINE, eventually, unique};

fn event(topic: &str, text: &str) -> Message {
    Message::new(topic, text.to_owned()).with_key("k").with_header(headers::ID, unique("e"))
}

async fn texts<F: OperatorsFixture>(fixture: &F, topic: &str) -> Vec<String> {
    let events = fixture.events(topic).await;
    events.iter().map(|event| String::from_utf8_lossy(&event.payload).into_owned()).collect()
}

/// After the commit the event can be read, and equals the written one.
pub async fn commit_makes_event_readable<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    let mut written =
        event(&topic, "{\"name\":\"寿司\"}").with_header(headers::EVENT_TYPE, "orders.order.placed");
    written.headers.set_free(&BTreeMap::from([
        ("tenant".to_owned(), "north".to_owned()),
        (headers::TRACESTATE.to_owned(), "vendor=1".to_owned()),
    ]));
    let mut tx = begin(&store).await;
    store.write(&mut tx, std::slice::from_ref(&written)).await.expect("the event can be written");
    assert_eq!(texts(fixture, &topic).await, [""; 0], "an event was readable before its commit");
    commit(&store, tx).await;
    store.wake();
    eventually("the event can be read", DEADLINE, async || !fixture.events(&topic).await.is_empty()).await;
    let read = fixture.events(&topic).await;
    assert_eq!((read.len(), &read[0].topic), (1, &Arc::<str>::from(topic)));
    assert_eq!((&read[0].key, &read[0].payload), (&written.key, &written.payload));
    // Free headers are one JSON object, which a table may write with different whitespace.
    assert_eq!(read[0].headers.free(), written.headers.free());
    for (name, value) in written.headers.iter().filter(|(name, _)| *name != headers::FREE_HEADERS) {
        assert_eq!(read[0].headers.get(name), Some(value), "header {name}");
    }
}

/// An event of a transaction that did not commit is not stored.
pub async fn rollback_leaves_no_event<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    let mut tx = begin(&store).await;
    store.write(&mut tx, &[event(&topic, "rolled back")]).await.expect("the event can be written");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    let mut tx = begin(&store).await;
    store.write(&mut tx, &[event(&topic, "dropped")]).await.expect("the event can be written");
    drop(tx);
    let mut tx = begin(&store).await;
    store.write(&mut tx, &[event(&topic, "kept")]).await.expect("the event can be written");
    commit(&store, tx).await;
    eventually("the last event can be read", DEADLINE, async || !fixture.events(&topic).await.is_empty())
        .await;
    assert_eq!(texts(fixture, &topic).await, ["kept"]);
}

/// Events are in the order of their writes and of their transactions.
pub async fn outbox_order_is_kept<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    let mut expected = Vec::new();
    for transaction in 0..3 {
        let mut tx = begin(&store).await;
        for part in 0..2 {
            let batch: Vec<String> = (0..5).map(|number| format!("{transaction}.{part}.{number}")).collect();
            let events: Vec<Message> = batch.iter().map(|text| event(&topic, text)).collect();
            store.write(&mut tx, &events).await.expect("events can be written");
            expected.extend(batch);
        }
        commit(&store, tx).await;
    }
    eventually("all events can be read", DEADLINE, async || {
        fixture.events(&topic).await.len() >= expected.len()
    })
    .await;
    assert_eq!(texts(fixture, &topic).await, expected);
}

/// Row and event commit together or not at all.
pub async fn events_and_rows_share_the_commit<F: OperatorsFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), unique("topic"));
    for keep in [false, true, false, true] {
        let mut tx = begin(&store).await;
        fixture.effect(&mut tx, &topic).await;
        store.write(&mut tx, &[event(&topic, "{}")]).await.expect("the event can be written");
        if keep {
            commit(&store, tx).await;
        } else {
            store.rollback(tx).await.expect("a transaction can be rolled back");
        }
    }
    assert_eq!(fixture.effects(&topic).await, 2);
    eventually("both events can be read", DEADLINE, async || fixture.events(&topic).await.len() == 2).await;
}
