//! The events that a relay reads.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{OutboxRows, WithoutRelay};
use messagekit::relay::{OutboxReader, Pending, PendingId, Rejection, ShardRead};
use messagekit::{Error, ErrorKind, Message, Store, headers};

use super::fixture::{
    event, everything, id, ids, in_order, lease, lease_of, publish, read, read_but, write, write_key,
};
use super::{RelayFixture, TOPICS};
use crate::{DEADLINE, eventually};

/// An event is pending from its commit until it is published, whatever calls come in between.
pub async fn committed_events_are_found_until_they_are_published<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let leases = lease(&store, "r1").await;
    let mut tx = store.begin().await.expect("a transaction begins");
    let events = [("e-1", "a"), ("e-2", "b"), ("e-3", "a")].map(|(id, key)| event(TOPICS[0], id, Some(key)));
    store.write(&mut tx, &events).await.expect("events can be written");
    assert_eq!(ids(&read(&store, "r1", &leases).await), [""; 0], "nothing is committed");
    store.commit(tx).await.expect("the transaction commits");

    let mut tx = store.begin().await.expect("a transaction begins");
    store.write(&mut tx, &[event(TOPICS[0], "e-4", Some("c"))]).await.expect("events can be written");
    store.rollback(tx).await.expect("a transaction can be rolled back");

    let page = read(&store, "r1", &leases).await;
    assert_eq!(in_order(&page), ["e-1", "e-2", "e-3"]);
    assert!(!page.more && page.lost.is_empty(), "{page:?}");
    let row = |wanted| page.rows.iter().find(|row| id(row) == wanted).expect("it was found");
    let (first, third) = (row("e-1"), row("e-3"));
    assert!(first.shard == third.shard && first.seq < third.seq, "a key has one shard: {page:?}");

    for _ in 0..2 {
        store.published(&[first.entry()]).await.expect("what is published can be noted");
    }
    let left = read(&store, "r1", &leases).await;
    assert_eq!(in_order(&left), ["e-2", "e-3"]);
    publish(&store, &left).await;
    assert_eq!(read(&store, "r1", &leases).await.rows, []);
}

/// The tables change nothing of a message but its time. The headers have the order of the connector.
pub async fn message_goes_out_as_it_was_written<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let leases = lease(&store, "r1").await;
    let written = Message::new(TOPICS[0], vec![0, 159, 146, 150])
        .with_key("ключ")
        .with_header(headers::ID, "m-1")
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header(headers::CONTENT_TYPE, "application/octet-stream")
        .with_header(headers::TRACEPARENT, "00-ab-cd-01")
        .with_header(headers::FREE_HEADERS, r#"{"tenant": "north"}"#);
    let bare = Message::new(TOPICS[0], "").with_header(headers::ID, "m-2");
    write(&store, &[written.clone(), bare.clone()]).await;

    let page = read(&store, "r1", &leases).await;
    let found =
        |wanted| page.rows.iter().find(|row| id(row) == wanted).expect("it was found").message.clone();
    let (mut first, mut second) = (found("m-1"), found("m-2"));
    let names: Vec<&str> = first.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["id", "eventType", "contentType", "traceparent", "createdAt", "headers"]);
    for message in [&mut first, &mut second] {
        let created = message.headers.remove(headers::CREATED_AT).expect("the row's clock");
        let created = std::str::from_utf8(&created).expect("a time is text");
        assert_eq!(created.len(), "2026-11-20T12:00:00.000000Z".len(), "{created}");
        let created: jiff::Timestamp = created.parse().expect("a time");
        let apart = created.duration_until(jiff::Timestamp::now()).abs();
        assert!(apart < jiff::SignedDuration::from_hours(1), "{created}");
    }
    assert_eq!((first, second), (written, bare));
}

/// An event that is read after a page has a position above the stable position of that page.
pub async fn nothing_appears_below_the_stable_position<F: RelayFixture>(fixture: &F) {
    let (store, other) = (fixture.store(), fixture.second().await);
    let leases = lease(&store, "r1").await;
    let mut known: Vec<PendingId> = Vec::new();
    let mut decided = i64::MIN;
    for round in 0..30 {
        let writer = if round % 2 == 0 { &store } else { &other };
        write_key(writer, &format!("k-{}", round % 3), &[&format!("e-{round}")]).await;
        let page = read(&store, "r1", &leases).await;
        for row in &page.rows {
            let entry = row.entry();
            if !known.contains(&entry) {
                assert!(entry.seq > decided, "{entry:?} appears where all was decided: {decided}");
                known.push(entry);
            }
        }
        decided = decided.max(page.stable);
    }
    assert_eq!(known.len(), 30);
    let last = known.iter().map(|entry| entry.seq).max();
    eventually("everything is decided", DEADLINE, async || {
        Some(read(&store, "r1", &leases).await.stable) >= last
    })
    .await;
}

/// A read leaves out the events that it must leave out, and is cut at its limit.
pub async fn what_is_confirmed_or_paused_is_left_out<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let mut leases = lease(&store, "r1").await;
    let events: Vec<_> = (0..100)
        .map(|n| event(TOPICS[usize::from(n % 5 == 0)], &format!("e-{n}"), Some(&format!("k-{}", n % 20))))
        .collect();
    write(&store, &events).await;
    leases.held.reverse();
    let all = read(&store, "r1", &leases).await;
    assert_eq!(all.rows.len(), 100);
    let order = |shard| leases.held.iter().position(|lease| lease.shard == shard);
    assert!(all.rows.is_sorted_by_key(|row| (order(row.shard), row.seq)), "{:?}", ids(&all));

    let some = read_but(&store, "r1", &leases, &[], &[], 40).await;
    assert_eq!((&some.rows[..], some.more), (&all.rows[..40], true), "the first ones");
    let except: Vec<i64> = some.rows.iter().map(|row| row.seq).collect();
    let others = read_but(&store, "r1", &leases, &except, &[Arc::from(TOPICS[1])], 1_000).await;
    let expected: Vec<Pending> =
        all.rows[40..].iter().filter(|row| &*row.message.topic == TOPICS[0]).cloned().collect();
    assert_eq!((others.rows, others.more), (expected, false));

    // From a position on, and for one shard.
    let last = &all.rows[99];
    let behind = ShardRead { lease: lease_of(&leases, last.shard), above: last.seq - 1 };
    let found = store.pending("r1", &[behind], &[], &[], 10).await.expect("what is pending can be read");
    assert_eq!(ids(&found), [id(last)]);
}

/// A paused topic hides no event of another topic, however many of its events are before it.
pub async fn paused_backlog_hides_nothing<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let leases = lease(&store, "r1").await;
    let backlog: Vec<_> =
        (0..3_000).map(|n| event(TOPICS[0], &format!("b-{n}"), Some(&format!("k-{}", n % 7)))).collect();
    write(&store, &backlog).await;
    let others: Vec<_> =
        (0..7).map(|n| event(TOPICS[1], &format!("e-{n}"), Some(&format!("k-{n}")))).collect();
    write(&store, &others).await;
    let page = read_but(&store, "r1", &leases, &[], &[Arc::from(TOPICS[0])], 10).await;
    assert_eq!((in_order(&page), page.more), ((0..7).map(|n| format!("e-{n}")).collect(), false));
    let page = read_but(&store, "r1", &leases, &[], &[TOPICS[0], TOPICS[1]].map(Arc::from), 10).await;
    assert_eq!((page.rows.len(), page.more), (0, false));
}

/// A page has a limit in bytes, whichever columns hold them. The next page continues behind it.
pub async fn page_is_never_larger_than_memory_allows_and_never_empty<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let leases = lease(&store, "r1").await;
    // Large payloads first, then the largest possible headers and keys.
    const EVENTS: usize = 140;
    for n in 0..EVENTS {
        let mut event = event(TOPICS[0], &format!("e-{n:03}"), Some("k"));
        match n < 20 {
            true => event.payload = "x".repeat(900_000).into(),
            false => {
                let large = "x".repeat(95_000);
                event.headers.set(headers::FREE_HEADERS, format!(r#"{{"large": "{large}"}}"#));
            }
        }
        write(&store, &[event]).await;
    }
    let mut seen = Vec::new();
    loop {
        let page = read(&store, "r1", &leases).await;
        let bytes: usize = page.rows.iter().map(|row| row.message.size()).sum();
        assert!(bytes <= 8 << 20, "{bytes} bytes");
        if page.rows.is_empty() {
            break;
        }
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        assert_eq!(page.more, seen.len() < EVENTS);
        publish(&store, &page).await;
    }
    assert_eq!(seen, (0..EVENTS).map(|n| format!("e-{n:03}")).collect::<Vec<_>>());
}

/// A delayed event is not pending before it is due. Then it is read like any other.
pub async fn delayed_event_is_found_when_it_is_due<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let leases = lease(&store, "r1").await;
    assert_eq!(store.due().await.expect("it can be asked what is due"), None);
    let before = std::time::Instant::now();
    let mut tx = store.begin().await.expect("a transaction begins");
    for (id, delay) in [("soon", 2_000), ("late", 3_600_000), ("now", 0)] {
        let delay = Duration::from_millis(delay);
        let event = event(TOPICS[0], id, Some("k"));
        store
            .write_after(&mut tx, &[event], delay, WithoutRelay::Refuse)
            .await
            .expect("events can be delayed");
    }
    store.commit(tx).await.expect("the transaction commits");
    let page = read(&store, "r1", &leases).await;
    if before.elapsed() < Duration::from_secs(1) {
        assert_eq!(in_order(&page), ["now"], "the others are not due");
    }
    publish(&store, &page).await;

    let due = async || store.due().await.expect("it can be asked what is due").expect("one is delayed");
    eventually("the first is due", DEADLINE, async || due().await > Duration::from_secs(60)).await;
    assert!(due().await <= Duration::from_secs(3_600));
    let page = read(&store, "r1", &leases).await;
    let found = in_order(&page);
    assert!(found.iter().any(|id| id == "soon") && found.iter().all(|id| id != "late"), "{found:?}");
}

/// A delayed event is published once, however many are due at the same time, in the order of the due times.
pub async fn many_delayed_events_become_due_in_their_order<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let leases = lease(&store, "r1").await;
    let events: Vec<Message> =
        (0..2_500).map(|n| event(TOPICS[0], &format!("e-{n:04}"), Some("k"))).collect();
    let mut tx = store.begin().await.expect("a transaction begins");
    for some in events.chunks(500) {
        store
            .write_after(&mut tx, some, Duration::from_millis(100), WithoutRelay::Refuse)
            .await
            .expect("events can be delayed");
    }
    store.commit(tx).await.expect("the transaction commits");
    let due = async || store.due().await.expect("it can be asked what is due");
    eventually("all are due", DEADLINE, async || due().await.is_none()).await;
    let mut found = Vec::new();
    while found.len() < 2_500 {
        let page = read(&store, "r1", &leases).await;
        assert!(!page.rows.is_empty(), "only {} are found", found.len());
        found.extend(in_order(&page));
        publish(&store, &page).await;
    }
    assert!(found.is_sorted(), "{found:?}");
    assert_eq!(found.len(), 2_500);
}

/// A database that lost its last commits assigns positions again. An operation on one event must not affect another event.
pub async fn entry_of_another_event_deletes_and_sets_aside_nothing<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let leases = lease(&store, "r1").await;
    write_key(&store, "k", &["there"]).await;
    let page = read(&store, "r1", &leases).await;
    let there = page.rows[0].entry();
    let lost = PendingId { event_id: "lost".parse().expect("an id"), ..there.clone() };
    let copy = PendingId { copy: there.copy + 1, ..there.clone() };
    for entry in [lost, copy] {
        store.published(std::slice::from_ref(&entry)).await.expect("what is published can be noted");
        let error = Some(Error::new(ErrorKind::TooLarge, "too large"));
        let rejection = Rejection { lease: lease_of(&leases, there.shard), entry, error };
        assert_eq!(store.set_aside("r1", &rejection).await.expect("events can be set aside"), 0);
    }
    assert_eq!(read(&store, "r1", &leases).await.rows, page.rows);
    publish(&store, &page).await;
    assert_eq!(store.pending("r1", &everything(&leases), &[], &[], 1).await.expect("it is read").rows, []);
}
