//! The events that a relay reads.

use std::time::Duration;

use messagekit::operations::{EventFilter, Operator, ReplayIds, ReplayOrder, Replays};
use messagekit::relay::{OutboxReader, Rejection, ShardRead};
use messagekit::{Envelope, ErrorKind, Store};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use sqlx::Executor;

use messagekit_tests::Database;

use super::outbox::{LEASE, Relayed, entries, ids, in_order};
use crate::shop::OrderPlaced;

#[test]
fn events_of_every_kind_of_writer_are_read() {
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

/// A reader that starts from the last position it has seen never finds an event that commits later below it.
#[test]
fn late_commit_is_found_from_the_beginning_not_from_a_position() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        let mut late = relayed.store.begin().await.unwrap();
        let early = relayed.outbox.add(&mut late, OrderPlaced::new("o-1")).await.unwrap();
        relayed.write("quick", Some("o-1")).await;
        let page = relayed.read("r1", &leases).await;
        assert_eq!(ids(&page), ["quick"]);
        relayed.store.published(&entries(&page)).await.unwrap();
        relayed.outbox.commit(late).await.unwrap();

        let cursor: Vec<ShardRead> =
            leases.held.iter().map(|lease| ShardRead { lease: *lease, above: page.rows[0].seq }).collect();
        let missed = relayed.store.pending("r1", &cursor, &[], &[], 10).await.unwrap();
        assert_eq!(ids(&missed), Vec::<&str>::new());
        assert_eq!(ids(&relayed.read("r1", &leases).await), [early.as_str()]);
    });
}

/// A reader may start after a position only when no transaction can commit below it any more.
#[test]
fn stable_position_waits_for_open_writers_of_earlier_positions() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        let decided = async || relayed.read("r1", &leases).await.stable;
        relayed.write("first", Some("o-1")).await;
        let first = relayed.read("r1", &leases).await.rows[0].seq;
        eventually("the first is decided", DEADLINE, async || decided().await == first).await;

        // A long transaction that writes no event does not matter; one that writes events is waited for.
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
fn copies_of_a_replay_go_out_too() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        relayed.write("e-1", Some("k")).await;
        let original = relayed.read("r1", &leases).await;
        relayed.store.published(&entries(&original)).await.unwrap();

        let order = ReplayOrder {
            filter: EventFilter::default(),
            ids: ReplayIds::Same,
            per_second: None,
            count: None,
        };
        relayed.store.order_replay(&order, &Operator::new("ann", "cli")).await.unwrap();
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
fn delayed_events_beyond_one_statement_become_ready_too() {
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

/// A standby that takes over without the last commits assigns their positions to other events.
#[test]
fn event_at_a_reused_position_is_neither_deleted_nor_rejected() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        relayed.write("lost", Some("k")).await;
        let lost = relayed.read("r1", &leases).await.rows[0].entry();
        let take_over = "DELETE FROM messagekit.outbox_events; DELETE FROM messagekit.outbox_pending;
            INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload) VALUES ('new', 'orders.order', 'k', '{}')";
        relayed.store.pool().execute(sqlx::raw_sql(take_over)).await.unwrap();
        let place = format!("UPDATE messagekit.outbox_pending SET seq = {}", lost.seq);
        relayed.store.pool().execute(sqlx::AssertSqlSafe(place)).await.unwrap();

        relayed.store.published(std::slice::from_ref(&lost)).await.unwrap();
        let lease = *leases.held.iter().find(|lease| lease.shard == lost.shard).unwrap();
        let error = Some(messagekit::Error::new(ErrorKind::TooLarge, "too large"));
        let copy = messagekit::relay::PendingId { copy: 1, event_id: "new".parse().unwrap(), ..lost.clone() };
        for entry in [lost, copy] {
            let rejection = Rejection { lease, entry, error: error.clone() };
            assert_eq!(relayed.store.set_aside("r1", &rejection).await.unwrap(), 0);
        }
        let found = relayed.read("r1", &leases).await;
        assert_eq!(ids(&found), ["new"]);
        relayed.store.published(&entries(&found)).await.unwrap();
        assert_eq!(relayed.pending().await, 0);
    });
}

#[test]
fn event_deleted_from_the_outbox_is_reported() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        relayed.write("gone", None).await;
        relayed.store.pool().execute("DELETE FROM messagekit.outbox_events").await.unwrap();
        let page = relayed.read("r1", &leases).await;
        assert_eq!(ids(&page), ["gone"]);
        let why = page.rows[0].unreadable.as_deref().expect("there is nothing to read");
        assert!(why.contains("not in the outbox any more"), "{why}");
    });
}

#[test]
fn outbox_that_was_not_made_for_a_relay_says_so() {
    block_on(async {
        let database = Database::fresh().await;
        let error = database.store().await.lease("r1", LEASE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert!(error.to_string().contains("messagekit migrate --relay"), "{error}");
    });
}
