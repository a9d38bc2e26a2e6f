//! Events that a broker refused, events that wait behind them, and actions of operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::relay::{OutboxReader, RejectedEvents, Rejection, ShardLease};
use messagekit::{Error, ErrorKind};

use super::fixture::{Operated, ann, event, id, in_order, lease, lease_of, read, write, write_key};
use super::{RelayFixture, TOPICS};

/// Setting a refused event aside includes the later events of its key, and no others.
pub async fn refused_event_takes_what_is_behind_it_in_its_key<F: RelayFixture>(fixture: &F) {
    let desk = Operated { store: fixture.store() };
    for (topic, id, key) in [
        (TOPICS[0], "a-1", Some("a")),
        (TOPICS[0], "a-2", Some("a")),
        (TOPICS[0], "b-1", Some("b")),
        (TOPICS[0], "a-3", Some("a")),
        (TOPICS[1], "a-4", Some("a")),
        (TOPICS[0], "n-1", None),
        (TOPICS[0], "n-2", None),
    ] {
        write(&desk.store, &[event(topic, id, key)]).await;
    }
    assert_eq!(desk.set_aside("a-2", Some("too large")).await, 2);
    assert_eq!(desk.set_aside("n-1", Some("no such topic")).await, 1);
    assert_eq!(desk.waiting().await, ["a-1", "b-1", "a-4", "n-2"]);

    let list =
        async |after, limit, all| desk.store.rejected(after, limit, all).await.expect("it can be listed");
    let refused = list(0, 10, false).await;
    let told: Vec<_> = refused
        .iter()
        .map(|event| (event.event_id.as_str(), event.key.as_deref(), event.attempts, event.behind))
        .collect();
    assert_eq!(told, [("a-2", Some("a"), 1, 1), ("n-1", None, 1, 0)]);
    assert_eq!(refused[0].error.as_deref(), Some("too large"));
    assert_eq!((refused[0].payload_bytes, &*refused[0].topic), (2, TOPICS[0]));
    let all = list(0, 10, true).await;
    let told: Vec<_> = all.iter().map(|event| (event.event_id.as_str(), event.attempts)).collect();
    assert_eq!(told, [("a-2", 1), ("a-3", 0), ("n-1", 1)]);
    assert_eq!(list(all[0].id, 1, true).await, all[1..2]);
}

/// A later event of a refused key is reported as held, and is set aside behind it. The same key of another topic is not.
pub async fn later_event_of_a_refused_key_is_held_and_set_aside_behind_it<F: RelayFixture>(fixture: &F) {
    let desk = Operated { store: fixture.store() };
    write_key(&desk.store, "a", &["a-1"]).await;
    assert_eq!(desk.set_aside("a-1", Some("too large")).await, 1);
    for (topic, id) in [(TOPICS[0], "a-2"), (TOPICS[1], "s-1"), (TOPICS[0], "a-3")] {
        write(&desk.store, &[event(topic, id, Some("a"))]).await;
    }
    let page = desk.page().await;
    let held: Vec<_> = page.rows.iter().filter(|row| row.held).map(id).collect();
    assert_eq!(held, ["a-2", "a-3"]);
    assert_eq!(desk.set_aside("a-2", None).await, 2);
    assert_eq!(desk.set_aside("s-1", None).await, 0, "nothing stands before it");
    assert_eq!(desk.waiting().await, ["s-1"]);
}

/// A relay that does not hold the shard sets nothing aside.
pub async fn relay_without_the_shard_rejects_nothing<F: RelayFixture>(fixture: &F) {
    let desk = Operated { store: fixture.store() };
    write_key(&desk.store, "a", &["a-1"]).await;
    let rejection = desk.rejection("a-1", Some("too large")).await;
    let set_aside = async |name: &str, epoch| {
        let lease = ShardLease { epoch, ..rejection.lease };
        let rejection = Rejection { lease, ..rejection.clone() };
        desk.store.set_aside(name, &rejection).await.expect("events can be set aside")
    };
    assert_eq!(set_aside("r1", rejection.lease.epoch - 1).await, 0);
    assert_eq!(set_aside("r2", rejection.lease.epoch).await, 0);
    desk.store.hand_over("r1", &[rejection.lease]).await.expect("shards can be handed over");
    assert_eq!(set_aside("r1", rejection.lease.epoch).await, 0);
    assert_eq!(desk.waiting().await, ["a-1"]);
    assert_eq!(desk.set_aside("a-1", Some("too large")).await, 1);
    assert_eq!(set_aside("r1", rejection.lease.epoch + 1).await, 0, "it is set aside already");
}

/// A retry restores all events of the key at their old positions, and the reader of the shard starts it again.
pub async fn retry_restores_a_whole_key_in_order_and_rereads_its_shard<F: RelayFixture>(fixture: &F) {
    let desk = Operated { store: fixture.store() };
    write_key(&desk.store, "a", &["a-1", "a-2", "a-3"]).await;
    desk.set_aside("a-1", Some("too large")).await;
    let before = lease(&desk.store, "r1").await;
    // Any event of the key identifies the key.
    let waits = desk.number("a-3").await;
    assert_eq!(desk.store.retry_rejected(waits, &ann()).await.expect("it can be retried"), 3);
    let page = read(&desk.store, "r1", &before).await;
    assert_eq!((page.rows.len(), page.lost.len()), (0, 1), "a place above them would skip them");
    let page = desk.page().await;
    assert_eq!(in_order(&page), ["a-1", "a-2", "a-3"]);
    assert!(page.rows.iter().all(|row| !row.held), "{page:?}");

    desk.set_aside("a-1", Some("still too large")).await;
    let again = desk.store.rejected(0, 10, false).await.expect("it can be listed");
    assert_eq!((again[0].attempts, again[0].error.as_deref()), (2, Some("still too large")));
    let missing = desk.store.retry_rejected(waits, &ann()).await.expect_err("it has another number now");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

/// A discarded event is gone. The events that wait for it alone are released.
pub async fn discarded_event_is_gone_and_lets_go_what_waits_for_it_alone<F: RelayFixture>(fixture: &F) {
    let desk = Operated { store: fixture.store() };
    write_key(&desk.store, "a", &["a-1", "a-2", "a-3", "a-4"]).await;
    // The state after a relay was frozen: two refused events of one key.
    desk.set_aside("a-3", Some("too large")).await;
    desk.set_aside("a-1", Some("too large")).await;
    let (first, waits) = (desk.number("a-1").await, desk.number("a-4").await);
    let refused = desk.store.discard_rejected(waits, &ann()).await.expect_err("it only waits");
    assert_eq!(refused.kind(), ErrorKind::WrongState);
    assert_eq!(desk.store.discard_rejected(first, &ann()).await.expect("it can be discarded"), 1);
    assert_eq!(desk.waiting().await, ["a-2"]);
    let third = desk.number("a-3").await;
    assert_eq!(desk.store.discard_rejected(third, &ann()).await.expect("it can be discarded"), 1);
    assert_eq!(desk.waiting().await, ["a-2", "a-4"]);
    assert_eq!(desk.set_aside_count().await, 0);
    let gone = desk.store.discard_rejected(third, &ann()).await.expect_err("it is gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

/// An operator restores the key repeatedly while a relay reads it, sets it aside, and sets aside the events that it found held.
/// No event is lost, doubled or read out of order.
pub async fn operator_and_relay_moving_one_key_at_once_lose_nothing<F: RelayFixture>(fixture: &F) {
    const EVENTS: usize = 12;
    let desk = Operated { store: fixture.store() };
    let ids: Vec<String> = (0..EVENTS).map(|number| format!("a-{number:02}")).collect();
    write_key(&desk.store, "a", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let operator = tokio::spawn({
        let (store, is_over) = (fixture.second().await, Arc::clone(&is_over));
        async move {
            let mut back = 0;
            while !is_over.load(Ordering::Relaxed) {
                for event in store.rejected(0, 1, true).await.expect("it can be listed") {
                    match store.retry_rejected(event.id, &ann()).await {
                        Ok(count) => back += count,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                    }
                }
            }
            back
        }
    });
    // The loop has a bound, and runs until the operator has restored an event.
    let mut moved = 0;
    for round in 0..2_000 {
        if round >= 60 && moved >= 20 {
            break;
        }
        let leases = lease(&desk.store, "r1").await;
        let page = read(&desk.store, "r1", &leases).await;
        let found = in_order(&page);
        assert!(found.is_sorted(), "{found:?}");
        let free: Vec<_> = page.rows.iter().filter(|row| !row.held).collect();
        assert!(
            free.is_empty() || id(free[0]) == ids[0],
            "an event has passed the first of its key: {found:?}"
        );
        let Some(row) = page.rows.get(round % 3) else { continue };
        let error = (!row.held).then(|| Error::new(ErrorKind::TooLarge, "too large"));
        let rejection = Rejection { lease: lease_of(&leases, row.shard), entry: row.entry(), error };
        moved += desk.store.set_aside("r1", &rejection).await.expect("events can be set aside");
    }
    is_over.store(true, Ordering::Relaxed);
    operator.await.expect("the operator does not panic");
    assert!(moved >= 20, "the relay has set aside {moved}");
    while let Some(event) = desk.store.rejected(0, 1, true).await.expect("it can be listed").first() {
        desk.store.retry_rejected(event.id, &ann()).await.expect("it can be retried");
    }
    assert_eq!(desk.waiting().await, ids);
}
