//! Rows that no reader can read: refused at the write, and set aside by name if they exist already.

use std::sync::Arc;

use messagekit::Shutdown;
use messagekit::operations::Operator;
use messagekit::relay::{OutboxReader, RejectedEvents, Relay};
use messagekit_postgres::SchemaName;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::Database;
use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};

use super::outbox::{Log, Relayed, relay};
use crate::whole_lag::whole_lag;

const STRANGE: [&str; 5] = [
    "infinity",
    "-infinity",
    "10000-01-01 00:00:00+00",
    "294276-12-31 23:59:59+00",
    "4713-01-01 00:00:00+00 BC",
];

async fn run(pool: &PgPool, sql: impl Into<String>) {
    pool.execute(sqlx::raw_sql(AssertSqlSafe(sql.into()))).await.expect("runs");
}

/// Returns the SQLSTATE and the constraint of a refusal.
fn refusal(error: &sqlx::Error) -> (String, Option<String>) {
    let error: &PgDatabaseError = error.as_database_error().expect("the server refuses").downcast_ref();
    (error.code().to_owned(), error.constraint().map(str::to_owned))
}

/// A role that may only insert could otherwise stop every relay.
async fn refuses_strange_times(database: &Database) {
    to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.expect("switches");
    let mut conn: PgConnection = database.connection().await;
    let role = unique("writer").replace(['.', '-'], "_");
    let make = format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA messagekit TO {role};
         GRANT INSERT ON messagekit.outbox_events TO {role}; SET ROLE {role}"
    );
    conn.execute(sqlx::raw_sql(AssertSqlSafe(make))).await.unwrap();
    for column in ["created_at", "occurred_at", "available_at"] {
        for time in STRANGE {
            let insert = format!(
                "INSERT INTO messagekit.outbox_events (event_id, topic, payload, {column}) VALUES ('bad', 'a.b', '{{}}', '{time}')"
            );
            let refused = conn.execute(AssertSqlSafe(insert)).await.expect_err("no reader can carry it");
            let expected = ("23514".to_owned(), Some("outbox_times".to_owned()));
            assert_eq!(refusal(&refused), expected, "{column} {time}");
        }
    }
    let edges = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at, occurred_at)
        VALUES ('first', 'a.b', '{}', '0001-01-01 00:00:00+00', '0001-01-01 00:00:00+00'),
          ('last', 'a.b', '{}', '9999-12-29 23:59:59.999999+00', '9999-12-29 23:59:59.999999+00')";
    conn.execute(edges).await.expect("years 1 to 9999 can be carried");
    let leave = format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}");
    conn.execute(sqlx::raw_sql(AssertSqlSafe(leave))).await.unwrap();
}

#[test]
fn times_that_no_reader_can_represent_are_refused_on_write() {
    block_on(async { refuses_strange_times(&Database::fresh().await).await });
}

#[test]
fn unreadable_times_are_refused_in_an_outbox_divided_by_day() {
    block_on(async { refuses_strange_times(&Database::divided().await).await });
}

/// Drops the constraints, as an operator may do, or as in tables from before them.
async fn without_rules(pool: &PgPool) {
    run(
        pool,
        "ALTER TABLE messagekit.outbox_events DROP CONSTRAINT IF EXISTS outbox_times;
         ALTER TABLE messagekit.outbox_events DROP CONSTRAINT outbox_payload_size",
    )
    .await;
}

#[test]
fn unreadable_event_is_rejected_by_id_and_others_are_published() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let pool = relayed.store.pool();
        without_rules(pool).await;
        for (n, time) in STRANGE.iter().enumerate() {
            let insert = format!(
                "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
                 VALUES ('time-{n}', 'orders.order', 'bad-{n}', '{{}}', '{time}')"
            );
            run(pool, insert).await;
        }
        run(
            pool,
            "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
             VALUES ('huge', 'orders.order', 'large', convert_to(repeat('x', 9000000), 'UTF8')),
               ('gone', 'orders.order', 'lost', '{}'), ('loose', 'orders.order', NULL, '{}');
             DELETE FROM messagekit.outbox_events WHERE event_id IN ('gone', 'loose')",
        )
        .await;
        for n in 0..20 {
            relayed.write(&format!("good-{n}"), Some(&format!("k-{n}"))).await;
        }
        // One event behind each of them, with its key.
        for (id, key) in [("behind-0", "bad-0"), ("behind-large", "large"), ("behind-lost", "lost")] {
            relayed.write(id, Some(key)).await;
        }

        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let relay: Relay = relay(&relayed.store, &log).unwrap();
        let stats = relay.stats();
        let running = tokio::spawn(relay.run(shutdown.clone()));
        eventually("nothing is pending", DEADLINE, async || relayed.pending().await == 0).await;
        let ids = log.ids();
        assert_eq!(ids.iter().filter(|id| id.starts_with("good-")).count(), 20, "{ids:?}");
        assert_eq!(ids.len(), 20, "nothing that was set aside is sent: {ids:?}");
        // The relay counts a moment after the rows have changed.
        let counted = || (stats.read().rejected, stats.read().set_aside);
        eventually("they are counted", DEADLINE, async || counted() == (8, 11)).await;

        let rejected = relayed.store.rejected(0, 100, true).await.expect("they can be listed");
        let said = |id: &str| {
            let event = rejected.iter().find(|event| event.event_id.as_str() == id).expect("it is listed");
            event.error.clone().unwrap_or_default()
        };
        for n in 0..STRANGE.len() {
            let said = said(&format!("time-{n}"));
            assert!(said.contains("created_at is no time from year 1 to year 9999"), "{said}");
        }
        assert!(said("huge").contains("bytes is over the 8 MiB of a read"), "{}", said("huge"));
        for id in ["gone", "loose"] {
            assert!(said(id).contains("is not in the outbox any more"), "{}", said(id));
        }
        for id in ["behind-0", "behind-large", "behind-lost"] {
            assert_eq!(said(id), "", "it waits behind the first of its key");
        }
        let problems = whole_lag(&relayed.store).await.problems;
        assert!(problems.iter().any(|problem| problem.contains("rejected 8 events")), "{problems:?}");

        // A repaired event is published when an operator retries it; a lost one can be discarded.
        run(pool, "UPDATE messagekit.outbox_events SET created_at = now() WHERE event_id = 'time-0'").await;
        for event in rejected.iter().filter(|event| event.error.is_some()) {
            let (id, ann) = (event.id, Operator::new("ann", "test"));
            match event.event_id.as_str() {
                "time-0" => assert_eq!(relayed.store.retry_rejected(id, &ann).await.unwrap(), 2),
                "gone" => assert_eq!(relayed.store.discard_rejected(id, &ann).await.unwrap(), 1),
                _ => {}
            }
        }
        eventually("they are out", DEADLINE, async || log.ids().len() == 23).await;
        let ids = log.ids();
        let place = |wanted: &str| ids.iter().position(|id| id == wanted).expect("it is out");
        assert!(place("time-0") < place("behind-0") && place("behind-lost") >= 20, "{ids:?}");
        shutdown.request();
        running.await.unwrap().unwrap();
    });
}

/// An insert makes an event pending, whichever client inserts.
#[test]
fn reinserted_event_once_discarded_is_published_once_in_order() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        for (id, key) in [("gone", Some("k")), ("loose", None), ("behind", Some("k"))] {
            relayed.write(id, key).await;
        }
        run(
            relayed.store.pool(),
            "CREATE TABLE backup AS SELECT * FROM messagekit.outbox_events WHERE event_id <> 'behind';
             DELETE FROM messagekit.outbox_events WHERE event_id <> 'behind'",
        )
        .await;
        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let running = tokio::spawn(relay(&relayed.store, &log).unwrap().run(shutdown.clone()));
        eventually("all are set aside", DEADLINE, async || relayed.pending().await == 0).await;

        let put_back =
            "INSERT INTO messagekit.outbox_events OVERRIDING SYSTEM VALUE SELECT * FROM backup ORDER BY seq";
        run(relayed.store.pool(), put_back).await;
        for event in relayed.store.rejected(0, 100, false).await.unwrap() {
            let said = event.error.unwrap_or_default();
            assert!(said.contains("discard it; to publish it, first insert its row again"), "{said}");
            relayed.store.discard_rejected(event.id, &Operator::new("ann", "test")).await.unwrap();
        }
        relayed.write("last", Some("k")).await;
        eventually("the last is out", DEADLINE, async || log.ids().contains(&"last".to_owned())).await;
        eventually("nothing is pending", DEADLINE, async || relayed.pending().await == 0).await;
        let of_key: Vec<String> = log.ids().into_iter().filter(|id| id != "loose").collect();
        assert_eq!(of_key, ["gone", "behind", "last"]);
        assert_eq!(log.ids().len(), 4, "each once: {:?}", log.ids());
        assert_eq!(relayed.count("SELECT count(*) FROM messagekit.outbox_rejected").await, 0);
        shutdown.request();
        running.await.unwrap().unwrap();
    });
}

/// Before the constraint there could be endless delays; such an event waits, and no other event waits for it.
#[test]
fn delay_without_an_end_stops_no_relay() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let pool = relayed.store.pool();
        without_rules(pool).await;
        for (id, time) in
            [("never", "infinity"), ("late", "294276-12-31 00:00:00+00"), ("early", "-infinity")]
        {
            let insert = format!(
                "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at) VALUES ('{id}', 'a.b', '', '{time}')"
            );
            run(pool, insert).await;
        }
        run(pool, "UPDATE messagekit.outbox_pending SET available_at = 'infinity' WHERE event_id = 'late'")
            .await;
        let due = relayed.store.due().await.expect("it can be asked what is due");
        assert!(due.is_some_and(|due| due >= std::time::Duration::from_secs(3_600)), "{due:?}");
        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let running = tokio::spawn(relay(&relayed.store, &log).unwrap().run(shutdown.clone()));
        relayed.write("good", None).await;
        eventually("the others are out", DEADLINE, async || log.ids().len() == 2).await;
        whole_lag(&relayed.store).await;
        shutdown.request();
        running.await.unwrap().unwrap();
        assert_eq!(relayed.pending().await, 2);
    });
}
