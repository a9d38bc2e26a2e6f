//! Health of a database that answers some questions and not others.

use messagekit::operations::{DatabaseStatus, LagPart, OutboxHealth};
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::admin_answers::answers;
use crate::health::Captured;
use crate::shop::run;

const PATHS: [&str; 3] = ["/health/outbox", "/api/v1/status", "/metrics"];

#[test]
fn lost_slot_is_named_while_a_lock_keeps_the_events() {
    block_on(async {
        let captured = Captured::start().await;
        run(captured.store.pool(), "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
            .await;
        let mut locker = sqlx::PgConnection::connect(&captured.url()).await.unwrap();
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
        let lag = captured.store.lag().await.unwrap();
        assert!(lag.unread.is_empty() && lag.problems.len() == 1, "{lag:?}");
    });
}

#[test]
fn part_that_fails_costs_none_of_the_others() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let insert =
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('e', 'a.b', '')";
        run(store.pool(), insert).await;
        run(store.pool(), "ALTER TABLE messagekit.replay_jobs RENAME TO gone").await;
        run(store.pool(), "ALTER TABLE messagekit.table_sources RENAME TO gone_too").await;
        let lag = store.lag().await.unwrap();
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
