//! What a relay finds.

use std::sync::Arc;
use std::time::Duration;

use messagekit::relay::{OutboxReader, Wanted};
use messagekit::{
    Actor, Envelope, ErrorKind, EventFilter, Message, OutboxRows, ReplayIds, ReplayOrder, Replays, Store,
    headers,
};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use sqlx::Executor;

use super::outbox::{Relayed, id, ids, in_order, places};
use crate::shop::OrderPlaced;

#[test]
fn committed_events_are_found_until_they_are_published() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        let mut tx = relayed.store.begin().await.unwrap();
        let events = ["o-1", "o-2", "o-1"].map(OrderPlaced::new);
        let added = relayed.outbox.add_all(&mut tx, events).await.unwrap();
        assert_eq!(ids(&relayed.read("r1", &leases).await), Vec::<&str>::new(), "nothing is committed");
        relayed.outbox.commit(tx).await.unwrap();

        let mut tx = relayed.store.begin().await.unwrap();
        relayed.outbox.add(&mut tx, OrderPlaced::new("o-3")).await.unwrap();
        relayed.store.rollback(tx).await.unwrap();

        let page = relayed.read("r1", &leases).await;
        assert_eq!(in_order(&page), added.iter().map(|id| id.as_str()).collect::<Vec<_>>());
        assert!(!page.more && page.lost.is_empty(), "{page:?}");
        let of_key = |key: &str| {
            page.rows
                .iter()
                .filter(|row| row.message.key.as_deref() == Some(key.as_bytes()))
                .collect::<Vec<_>>()
        };
        let (first, second) = (of_key("o-1")[0], of_key("o-1")[1]);
        assert!(first.shard == second.shard && first.seq < second.seq);

        relayed.store.published(&[(first.shard, first.seq)]).await.unwrap();
        relayed.store.published(&[(first.shard, first.seq)]).await.unwrap();
        let left = relayed.read("r1", &leases).await;
        assert_eq!(left.rows.len(), 2);
        assert!(left.rows.iter().all(|row| row.seq != first.seq));
    });
}

/// Nothing is lost or added on the way through the columns; the order of headers is that of the connector.
#[test]
fn message_goes_out_as_it_was_written() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        let free = r#"{"tenant": "north"}"#;
        let written = Message::new("orders.order", vec![0, 159, 146, 150])
            .with_key("ключ")
            .with_header(headers::ID, "m-1")
            .with_header(headers::EVENT_TYPE, "orders.order.placed")
            .with_header(headers::CONTENT_TYPE, "application/octet-stream")
            .with_header(headers::TRACEPARENT, "00-ab-cd-01")
            .with_header(headers::FREE_HEADERS, free);
        let bare = Message::new("orders.order", "").with_header(headers::ID, "m-2");
        let mut tx = relayed.store.begin().await.unwrap();
        relayed.store.write(&mut tx, &[written.clone(), bare.clone()]).await.unwrap();
        relayed.store.commit(tx).await.unwrap();

        let page = relayed.read("r1", &leases).await;
        let found = |wanted: &str| page.rows.iter().find(|row| id(row) == wanted).unwrap().message.clone();
        let (mut first, mut second) = (found("m-1"), found("m-2"));
        let names: Vec<&str> = first.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "eventType", "contentType", "traceparent", "createdAt", "headers"]);
        for message in [&mut first, &mut second] {
            let created = message.headers.remove(headers::CREATED_AT).expect("the row's clock");
            let created: jiff::Timestamp = std::str::from_utf8(&created).unwrap().parse().unwrap();
            assert!(
                created.duration_until(jiff::Timestamp::now()).abs() < jiff::SignedDuration::from_hours(1)
            );
        }
        assert_eq!((first, second), (written, bare));
    });
}

#[test]
fn whoever_writes_is_heard() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        let mut conn = relayed.database.connection().await;
        conn.execute(
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('a', 'a.b', ''), ('b', 'a.b', '');
             SELECT messagekit.publish('a.b', 'k', 'a.b.c', '{}', id => 'c');
             CREATE ROLE writer_of_relay_test; GRANT USAGE ON SCHEMA messagekit TO writer_of_relay_test;
             GRANT INSERT ON messagekit.outbox_events TO writer_of_relay_test; SET ROLE writer_of_relay_test;
             INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('d', 'a.b', ''); RESET ROLE;
             DROP OWNED BY writer_of_relay_test; DROP ROLE writer_of_relay_test",
        )
        .await
        .unwrap();
        let mut copy = conn
            .copy_in_raw("COPY messagekit.outbox_events (event_id, topic, payload) FROM STDIN")
            .await
            .unwrap();
        copy.send("e\ta.b\t\\\\x00\nf\ta.b\t\\\\x00\n".as_bytes()).await.unwrap();
        copy.finish().await.unwrap();
        assert_eq!(in_order(&relayed.read("r1", &leases).await), ["a", "b", "c", "d", "e", "f"]);
    });
}

/// A reader that goes on from the last place it has seen never finds what commits behind it.
#[test]
fn late_commit_of_an_early_place_is_found_from_the_beginning_and_missed_from_a_place() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        let mut late = relayed.store.begin().await.unwrap();
        let early = relayed.outbox.add(&mut late, OrderPlaced::new("o-1")).await.unwrap();
        relayed.write("quick", Some("o-1")).await;
        let page = relayed.read("r1", &leases).await;
        assert_eq!(ids(&page), ["quick"]);
        relayed.store.published(&places(&page)).await.unwrap();
        relayed.outbox.commit(late).await.unwrap();

        let cursor: Vec<Wanted> =
            leases.held.iter().map(|lease| Wanted { lease: *lease, above: page.rows[0].seq }).collect();
        let missed = relayed.store.pending("r1", &cursor, &[], &[], 10).await.unwrap();
        assert_eq!(ids(&missed), Vec::<&str>::new());
        assert_eq!(ids(&relayed.read("r1", &leases).await), [early.as_str()]);
    });
}

/// A reader may begin behind a place only when nobody can commit before it any more.
#[test]
fn place_is_decided_when_no_open_writer_can_hold_an_earlier_one() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        let decided = async || relayed.read("r1", &leases).await.decided;
        relayed.write("first", Some("o-1")).await;
        let first = relayed.read("r1", &leases).await.rows[0].seq;
        eventually("the first is decided", DEADLINE, async || decided().await == first).await;

        // A long transaction that writes no event does not matter; one that does is waited for.
        let mut elsewhere = relayed.store.begin().await.unwrap();
        sqlx::query("CREATE TABLE elsewhere ()").execute(&mut *elsewhere).await.unwrap();
        let mut open = relayed.store.begin().await.unwrap();
        relayed.outbox.add(&mut open, OrderPlaced::new("o-1")).await.unwrap();
        relayed.write("third", Some("o-1")).await;
        for _ in 0..5 {
            assert_eq!(decided().await, first);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        relayed.outbox.commit(open).await.unwrap();
        eventually("all are decided", DEADLINE, async || decided().await == first + 2).await;
        relayed.store.rollback(elsewhere).await.unwrap();
    });
}

#[test]
fn what_is_confirmed_or_paused_is_left_out_and_slices_come_as_they_are_wanted() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let mut leases = relayed.lease("r1").await;
        for number in 0..100 {
            let topic = if number % 5 == 0 { "stock.item" } else { "orders.order" };
            relayed.write_to(topic, &format!("e-{number}"), Some(&format!("k-{}", number % 20))).await;
        }
        leases.held.reverse();
        let all = relayed.read("r1", &leases).await;
        assert_eq!(all.rows.len(), 100);
        let order = |shard| leases.held.iter().position(|lease| lease.shard == shard);
        assert!(all.rows.is_sorted_by_key(|row| (order(row.shard), row.seq)), "{:?}", places(&all));

        let some = relayed.read_but("r1", &leases, &[], &[], 40).await;
        assert_eq!((&some.rows[..], some.more), (&all.rows[..40], true), "the first ones");
        let except: Vec<i64> = some.rows.iter().map(|row| row.seq).collect();
        let others = relayed.read_but("r1", &leases, &except, &[Arc::from("stock.item")], 1_000).await;
        let expected: Vec<_> =
            all.rows[40..].iter().filter(|row| &*row.message.topic == "orders.order").cloned().collect();
        assert_eq!((others.rows, others.more), (expected, false));

        // From a place on, and of one slice.
        let last = &all.rows[99];
        let lease = *leases.held.iter().find(|lease| lease.shard == last.shard).unwrap();
        let behind = Wanted { lease, above: last.seq - 1 };
        assert_eq!(ids(&relayed.store.pending("r1", &[behind], &[], &[], 10).await.unwrap()), [id(last)]);
    });
}

#[test]
fn one_answer_is_never_larger_than_memory_allows_and_never_empty() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        relayed
            .store
            .pool()
            .execute(
                "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
                 SELECT 'e-' || n, 'orders.order', 'k', convert_to(repeat('x', 900000), 'UTF8') FROM generate_series(1, 20) n",
            )
            .await
            .unwrap();
        let mut seen = Vec::new();
        loop {
            let page = relayed.read("r1", &leases).await;
            let bytes: usize = page.rows.iter().map(|row| row.message.payload.len()).sum();
            assert!(bytes <= 8 << 20, "{bytes} bytes");
            if page.rows.is_empty() {
                break;
            }
            seen.extend(page.rows.iter().map(|row| id(row).to_owned()));
            assert_eq!(page.more, seen.len() < 20);
            relayed.store.published(&places(&page)).await.unwrap();
        }
        assert_eq!(seen, (1..=20).map(|n| format!("e-{n}")).collect::<Vec<_>>());
    });
}

#[test]
fn copies_of_a_replay_go_out_too() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        relayed.write("e-1", Some("k")).await;
        let original = relayed.read("r1", &leases).await;
        relayed.store.published(&places(&original)).await.unwrap();

        let order = ReplayOrder {
            filter: EventFilter::default(),
            ids: ReplayIds::Same,
            per_second: None,
            count: None,
        };
        relayed.store.order_replay(&order, &Actor::new("ann", "cli")).await.unwrap();
        let (lease, _) = relayed.store.lease_replay(Duration::from_secs(600)).await.unwrap().unwrap();
        let never = |_: &_| panic!("events keep their ids");
        relayed.store.replay_step(lease, 10, Duration::from_secs(600), &never).await.unwrap();
        let copy = relayed.read("r1", &leases).await;
        assert_eq!(copy.rows[0].message, original.rows[0].message, "createdAt of the original too");
        assert!(copy.rows[0].seq > original.rows[0].seq);
    });
}

#[test]
fn delayed_event_is_found_when_it_is_due() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        assert_eq!(relayed.store.due().await.unwrap(), None);
        let mut tx = relayed.store.begin().await.unwrap();
        let event = Envelope::new(OrderPlaced::new("o-1"));
        let delayed = relayed.outbox.add_after(&mut tx, event, Duration::from_millis(300)).await.unwrap();
        let event = Envelope::new(OrderPlaced::new("o-1"));
        relayed.outbox.add_after(&mut tx, event, Duration::from_secs(3_600)).await.unwrap();
        let event = Envelope::new(OrderPlaced::new("o-1"));
        let at_once = relayed.outbox.add_after(&mut tx, event, Duration::ZERO).await.unwrap();
        relayed.outbox.commit(tx).await.unwrap();

        let due = async || relayed.store.due().await.unwrap().expect("two are delayed");
        eventually("the first is due", DEADLINE, async || due().await > Duration::from_secs(3_000)).await;
        assert!(due().await <= Duration::from_secs(3_600));
        let page = relayed.read("r1", &leases).await;
        assert_eq!(in_order(&page), [delayed.as_str(), at_once.as_str()], "in the order of their places");
        let clock = "SELECT count(*) FROM messagekit.outbox_pending WHERE shard >= 0 AND available_at > clock_timestamp()";
        assert_eq!(relayed.count(clock).await, 0, "by the clock of the database");
    });
}

#[test]
fn more_delayed_events_than_one_statement_takes_become_ready_too() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        relayed
            .store
            .pool()
            .execute(
                "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
                 SELECT 'e-' || n, 'a.b', '', clock_timestamp() + interval '200 ms' FROM generate_series(1, 2500) n",
            )
            .await
            .unwrap();
        eventually("all are due", DEADLINE, async || relayed.store.due().await.unwrap().is_none()).await;
        assert_eq!(
            relayed.count("SELECT count(*) FROM messagekit.outbox_pending WHERE shard >= 0").await,
            2_500
        );
    });
}

#[test]
fn event_that_somebody_has_deleted_is_named() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        relayed.write("gone", None).await;
        relayed.store.pool().execute("DELETE FROM messagekit.outbox_events").await.unwrap();
        let wanted: Vec<Wanted> =
            leases.held.iter().map(|lease| Wanted { lease: *lease, above: i64::MIN }).collect();
        let error = relayed.store.pending("r1", &wanted, &[], &[], 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.context("id"), Some("gone"));
    });
}
