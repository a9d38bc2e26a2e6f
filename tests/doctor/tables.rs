//! Dead rows, and events that outlive dedup windows.

use std::time::{Duration, Instant};

use messagekit::adapter::{Positions, UnhandledType};
use messagekit::operations::Doctor;
use messagekit_postgres::SchemaName;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::Database;

use crate::stage::{Stage, nothing, run};

const MARKERS: &str = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, day)
  SELECT 'billing', n::text, 'done', messagekit.day_of(n::text) FROM generate_series(1, 20000) n; DELETE FROM messagekit.processed_messages";

const PENDING: &str = "INSERT INTO messagekit.outbox_pending (shard, copy, seq, available_at, event_id, topic)
  SELECT n % 64, 0, n, now(), n::text, 'orders.order' FROM generate_series(1, 60000) n; DELETE FROM messagekit.outbox_pending";

#[test]
fn dead_rows_are_found_and_vacuumed() {
    block_on(async {
        for database in [Database::fresh().await, Database::divided().await] {
            let url = database.url();
            let stage = Stage::database(url);
            // The tree of a table that is not divided is empty.
            let off = "SELECT format('ALTER TABLE %s SET (autovacuum_enabled = false)', c.oid::regclass) FROM pg_class c
                WHERE relkind = 'r' AND (c.oid IN (SELECT relid FROM pg_partition_tree('messagekit.processed_messages'))
                  OR c.oid IN ('messagekit.outbox_pending'::regclass, 'messagekit.processed_messages'::regclass))";
            let mut conn = database.connection().await;
            let off: Vec<String> = sqlx::query_scalar(off).fetch_all(&mut conn).await.unwrap();
            assert!(off.len() > 1, "{off:?}");
            run(url, off.join("; ")).await;
            for (fault, name) in [(MARKERS, "markers-not-vacuumed"), (PENDING, "pending-not-vacuumed")] {
                run(url, fault).await;
                stage.heals(name, nothing).await;
            }
        }
    });
}

#[test]
fn tables_without_autovacuum_are_found() {
    block_on(async {
        let database = Database::fresh().await;
        let stage = Stage::database(database.url());
        for table in ["processed_messages", "outbox_pending"] {
            let off = format!("ALTER TABLE messagekit.{table} SET (autovacuum_enabled = false)");
            run(database.url(), off).await;
            stage.heals("autovacuum-off", nothing).await;
        }
    });
}

#[test]
fn events_kept_beyond_a_dedup_window_need_a_longer_one() {
    block_on(async {
        let database = Database::fresh().await;
        let url = database.url();
        to_relay(url, &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        run(
            url,
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
               VALUES ('old', 'orders.order', '{}', now() - interval '3 days');
             DELETE FROM messagekit.outbox_pending;
             INSERT INTO messagekit.consumer_windows (consumer, seconds) VALUES ('billing', 86400), ('stock', 864000), ('idle', 1);
             INSERT INTO messagekit.consumer_offsets (consumer, topic, partition, next)
               VALUES ('billing', 'orders.order', 0, 1), ('stock', 'orders.order', 0, 1), ('idle', 'orders.other', 0, 1)",
        )
        .await;
        let stage = Stage::database(url);
        let report = stage.look();
        let short = report.findings().iter().filter(|found| found["name"] == "outbox-outlives-dedup-window");
        let short: Vec<_> = short.map(|found| found["subject"].as_str().unwrap()).collect();
        assert_eq!(short, ["billing"]);
        let longer = "INSERT INTO messagekit.consumer_windows (consumer, seconds) VALUES ('billing', 864000)";
        stage.heals("outbox-outlives-dedup-window", async |_| run(url, longer).await).await;
    });
}

#[test]
fn a_misspelt_event_type_is_found_for_a_week() {
    block_on(async {
        let database = Database::fresh().await;
        let url = database.url();
        let store = database.store().await;
        let of = |event_type: &str, similar: &[&str]| UnhandledType {
            topic: "orders.order".into(),
            event_type: event_type.to_owned(),
            similar: similar.iter().copied().map(str::to_owned).collect(),
            messages: 2,
        };
        let types = [of("orders.palced", &["orders.placed"]), of("orders.cancelled", &[])];
        store.note_unhandled("billing", &types).await.unwrap();
        let stage = Stage::database(url);
        let found = stage.finds("event-type-misspelt").await;
        assert_eq!(found["subject"], "billing");
        for part in ["2 messages of type \"orders.palced\" on orders.order", "handles orders.placed"] {
            assert!(found["text"].as_str().unwrap().contains(part), "{part} in {found}");
        }
        let report = stage.look();
        let named = report.findings().iter().filter(|found| found["name"] == "event-type-misspelt");
        assert_eq!(named.count(), 1, "another type is no fault: {}", report.json);
        let later = "UPDATE messagekit.unhandled_types SET last_at = last_at - interval '7 days'";
        stage.heals("event-type-misspelt", async |_| run(url, later).await).await;
    });
}

/// Several parts of the examination wait for these tables, each as long as a statement may take.
const LOCK: &str = "BEGIN; LOCK TABLE messagekit.outbox_events, messagekit.outbox_pending, messagekit.processed_messages,
  messagekit.consumer_windows, messagekit.consumer_offsets, messagekit.outbox_rejected IN ACCESS EXCLUSIVE MODE";

#[test]
fn locked_database_is_examined_as_far_as_the_time_allows() {
    block_on(async {
        let database = Database::fresh().await;
        run(database.url(), format!("ALTER DATABASE {} SET synchronous_commit = off", database.name())).await;
        let store = database.store().await;
        let mut holder = database.connection().await;
        sqlx::raw_sql(LOCK).execute(&mut holder).await.unwrap();
        let began = Instant::now();
        let diagnosis = store.diagnose().await;
        // It takes 8 seconds of its own, and the locks are kept for ever.
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        let found: Vec<&str> = diagnosis.findings.iter().map(|found| found.check.name).collect();
        assert!(found.contains(&"synchronous-commit-off"), "{found:?}");
        let reasons: Vec<&str> = diagnosis.unchecked.iter().map(|unchecked| &*unchecked.reason).collect();
        assert!(reasons.iter().any(|reason| reason.contains("the examination has taken 8s")), "{reasons:?}");
    });
}
