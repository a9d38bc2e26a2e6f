//! Health of a database that answers some questions and not others.

use std::time::Duration;

use messagekit::operations::{DatabaseStatus, LagPart, OutboxHealth, OutboxLag};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::admin_answers::answers;
use crate::health::Captured;
use crate::shop::run;
use crate::whole_lag::whole_lag;

const PATHS: [&str; 3] = ["/health/outbox", "/api/v1/status", "/metrics"];

/// Returns a database whose outbox has an event.
async fn with_an_event() -> (Database, PostgresStore) {
    let database = Database::fresh().await;
    let store = database.store().await;
    let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('e', 'a.b', '')";
    run(store.pool(), insert).await;
    (database, store)
}

#[test]
fn lost_slot_is_named_while_a_lock_keeps_the_events() {
    block_on(async {
        let captured = Captured::start().await;
        run(captured.store.pool(), "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
            .await;
        let mut locker = PgConnection::connect(&captured.url()).await.unwrap();
        let lock = "BEGIN; LOCK TABLE messagekit.outbox_events IN ACCESS EXCLUSIVE MODE";
        sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();

        let [(code, health), (_, status), (_, metrics)] = answers(&captured.store, PATHS).await;
        let [health, status]: [Value; 2] = [health, status].map(|text| serde_json::from_str(&text).unwrap());
        let outbox = &health["checks"]["outbox"];
        assert_eq!((code, &outbox["pending_count"]), (503, &Value::Null), "{health}");
        assert_eq!(health["checks"]["database"], json!({"status": "healthy"}), "it answered");
        let problems = outbox["problems"].to_string();
        assert!(problems.contains("is missing"), "{problems}");
        assert!(problems.contains("pending events could not be read"), "{problems}");
        let outbox = &status["databases"][0]["outbox"];
        assert_eq!((&outbox["pending"], &outbox["rejected"]), (&Value::Null, &json!(0)), "{status}");
        assert_eq!(outbox["problems"].to_string(), problems);
        assert!(metrics.contains("messagekit_database_up{database=\"shop\"} 1"), "{metrics}");
        assert!(!metrics.contains("messagekit_outbox_pending{"), "an unknown number is none: {metrics}");

        sqlx::raw_sql("ROLLBACK").execute(&mut locker).await.unwrap();
        let lag = whole_lag(&captured.store).await;
        assert!(lag.unread.is_empty() && lag.problems.len() == 1, "{lag:?}");
    });
}

#[test]
fn consumers_that_cannot_be_read_leave_the_outbox_in_the_status() {
    block_on(async {
        let (database, store) = with_an_event().await;
        let mut locker = PgConnection::connect(database.url()).await.unwrap();
        let lock = "BEGIN; LOCK TABLE messagekit.processed_messages IN ACCESS EXCLUSIVE MODE";
        sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();
        let [(code, status)] = answers(&store, ["/api/v1/status"]).await;
        let status: Value = serde_json::from_str(&status).unwrap();
        let shop = &status["databases"][0];
        assert_eq!((code, &shop["outbox"]["pending"], &shop["consumers"]), (200, &json!(1), &json!([])));
        assert!(shop["consumers_missing"].is_string(), "{status}");
    });
}

#[test]
fn part_that_fails_costs_none_of_the_others() {
    block_on(async {
        let (_database, store) = with_an_event().await;
        run(store.pool(), "ALTER TABLE messagekit.replay_jobs RENAME TO gone").await;
        run(store.pool(), "ALTER TABLE messagekit.table_sources RENAME TO gone_too").await;
        // Other parts may be late on a busy machine.
        let mut lag = OutboxLag::default();
        eventually("only what is gone is unread", DEADLINE, async || {
            lag = store.lag().await.unwrap();
            lag.unread.len() == 2
        })
        .await;
        assert_eq!(lag.pending, 1);
        assert!(
            lag.problems.iter().any(|problem| problem.contains("nothing captures this outbox")),
            "{lag:?}"
        );
        let unread: Vec<LagPart> = lag.unread.iter().map(|unread| unread.part).collect();
        assert_eq!(unread, [LagPart::TableSources, LagPart::FailedRows]);
        assert!(lag.unread[0].reason.contains("does not exist"), "{lag:?}");
        assert!(!store.outbox_status().await.unwrap().lag.is_known(LagPart::Others));

        run(store.pool(), "ALTER TABLE messagekit.outbox_events RENAME TO gone_as_well").await;
        store.lag().await.expect_err("nothing is found without its catalogue");
    });
}

/// The sessions of the store, and how many of them wait for a lock.
const SESSIONS: &str = "SELECT count(*), count(*) FILTER (WHERE cardinality(pg_blocking_pids(pid)) > 0)
  FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'messagekit'";

async fn sessions(look: &mut PgConnection) -> (i64, i64) {
    sqlx::query_as(SESSIONS).fetch_one(look).await.unwrap()
}

#[test]
fn probes_that_are_given_up_take_no_connection_of_the_service() {
    block_on(async {
        let database = Database::fresh().await;
        let store = PostgresStore::connect(database.url()).await.unwrap();
        let (mut look, mut locker) = (database.connection().await, database.connection().await);
        let lock = "BEGIN; LOCK TABLE messagekit.outbox_events, messagekit.outbox_checkpoints IN ACCESS EXCLUSIVE MODE";
        sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();
        for round in 0..8 {
            let probed = store.clone();
            let probe = tokio::spawn(async move {
                match round % 2 {
                    0 => probed.lag().await.map(drop),
                    _ => probed.checkpoint(Duration::ZERO).await,
                }
            });
            eventually("the probe alone waits for the lock", DEADLINE, async || {
                let (all, waiting) = sessions(&mut look).await;
                // The server of a busy machine may still be ending one that has reached its limit.
                assert!(all <= 2, "{all} sessions in round {round}");
                (all, waiting) == (1, 1)
            })
            .await;
            probe.abort();
            assert!(probe.await.unwrap_err().is_cancelled());
        }
        assert_eq!(store.pool().size(), 0, "the service has used no connection");
        eventually("the server ends what was given up", DEADLINE, async || {
            let (all, waiting) = sessions(&mut look).await;
            all <= 1 && waiting == 0
        })
        .await;
        sqlx::raw_sql("ROLLBACK").execute(&mut locker).await.unwrap();
        whole_lag(&store).await;
        store.checkpoint(Duration::ZERO).await.unwrap();
        assert_eq!(store.pool().size(), 0, "the service has used no connection");
        eventually("one session is kept", DEADLINE, async || sessions(&mut look).await.0 == 1).await;
    });
}
