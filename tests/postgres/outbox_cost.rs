//! What health and status of an outbox cost: a bounded number of rows, however many events are kept.

use messagekit::operations::COUNT_LIMIT;
use messagekit_postgres::{count_settings, statements};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::admin_answers::answers;
use crate::health::Captured;
use crate::shop::run;
use crate::whole_lag::{whole_lag, whole_status};

/// Twenty minutes of events, all of them copied a minute ago, pending for a relay and refused.
const FILL: &str = "
INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
  SELECT 'e-' || n, 'orders.order', '{}', now() - (100000 - n) * interval '12 ms' FROM generate_series(1, 100000) n;
INSERT INTO messagekit.outbox_copies (job, at, copies) SELECT n, now() - n * interval '1 s', 1 FROM generate_series(1, 20000) n;
INSERT INTO messagekit.outbox_pending (shard, copy, seq, available_at, event_id, topic)
  SELECT n % 64, 0, n, now(), 'e-' || n, 'orders.order' FROM generate_series(1, 100000) n;
INSERT INTO messagekit.outbox_rejected (shard, attempts, copy, seq, event_id, topic, error)
  SELECT n % 64, 1, 0, n, 'e-' || n, 'orders.order', CASE WHEN n % 2 = 0 THEN 'no' END FROM generate_series(1, 100000) n;
INSERT INTO messagekit.outbox_checkpoints (at, wal)
  SELECT now() - n * interval '10 s', '0/1'::pg_lsn + (60000 - n) FROM generate_series(1, 50000) n;";

/// Each statement that health and status run on an outbox, with its parameters, and a position for those that begin at one.
const STATEMENTS: [(&str, &str, &str); 9] = [
    ("outbox_kept", "", ""),
    ("outbox_unconfirmed", "timestamptz", "now() - interval '1 h'"),
    ("outbox_unconfirmed", "timestamptz", "now() - interval '10 min'"),
    ("outbox_unconfirmed", "timestamptz", "now()"),
    ("outbox_relayed", "", ""),
    ("outbox_relays", "", ""),
    ("history_status_outbox", "", ""),
    ("confirmed", "text", "'messagekit_shop'"),
    ("last_checkpoint", "float8", "1e7"),
];

/// Up to four counts of 10,000, and the rows of the blocks in which the first match lies.
pub(crate) const MOST_ROWS: f64 = 45_000.0;

/// Returns the rows that the scans of a plan, or of a part of it, have read.
pub(crate) fn rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let removed = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = (number("Actual Rows") + removed) * number("Actual Loops");
    // A bitmap of blocks has no rows: its table has.
    let is_scan = plan["Relation Name"].is_string() && plan["Node Type"] != "Bitmap Index Scan";
    let parts = plan["Plans"].as_array().into_iter().flatten().map(rows_read);
    parts.sum::<f64>() + if is_scan { own } else { 0.0 }
}

/// Returns the plan of a statement with what it has read, under the settings of health.
pub(crate) async fn explained(
    connection: &mut PgConnection,
    (name, types, values): (&str, &str, &str),
    settings: &str,
) -> Value {
    let text = statements().iter().find(|(known, _)| *known == name).unwrap().1;
    let (types, values) = match types {
        "" => (String::new(), String::new()),
        _ => (format!("({types})"), format!("({values})")),
    };
    let begin = format!(
        "BEGIN; {settings}; SET LOCAL plan_cache_mode = force_custom_plan; PREPARE counts {types} AS {text}"
    );
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await.expect(name);
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE counts {values}");
    let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.expect(name);
    sqlx::raw_sql("ROLLBACK; DEALLOCATE counts").execute(connection).await.expect(name);
    sqlx::Row::get::<Value, _>(&plan, 0)[0]["Plan"].clone()
}

#[test]
fn counts_of_an_outbox_read_a_bounded_number_of_rows() {
    block_on(async {
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        sqlx::raw_sql(FILL).execute(&mut connection).await.expect("fills the tables");
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await.expect("as autovacuum does");
        let mut costly = Vec::new();
        for statement in STATEMENTS {
            let plan = explained(&mut connection, statement, count_settings()).await;
            let read = rows_read(&plan);
            println!("{} {}: {read} rows", statement.0, statement.2);
            if read > MOST_ROWS {
                costly.push(format!("{statement:?}: {read} rows\n{plan:#}"));
            }
        }
        assert!(costly.is_empty(), "{}", costly.join("\n"));

        // What this test could not see if it did not count the rows of a scan that passes over them.
        let late = ("outbox_unconfirmed", "timestamptz", "now() - interval '2 s'");
        let whole = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexscan = off";
        let plan = explained(&mut connection, late, whole).await;
        assert!(rows_read(&plan) >= 100_000.0, "{plan:#}");
    });
}

#[test]
fn lost_slot_and_one_bounded_count_are_in_health_and_status() {
    block_on(async {
        let captured = Captured::start_with(&["max_slot_wal_keep_size=1MB"]).await;
        run(
            captured.store.pool(),
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
             SELECT 'e-' || n, 'orders.order', convert_to(repeat('x', 500), 'UTF8'), now() - interval '1 h'
             FROM generate_series(1, 60000) n",
        )
        .await;
        eventually("the server gives up the slot", DEADLINE, async || {
            run(captured.store.pool(), "SELECT pg_switch_wal()").await;
            run(captured.store.pool(), "CHECKPOINT").await;
            let lost = "SELECT wal_status = 'lost' FROM pg_replication_slots";
            sqlx::query_scalar(lost).fetch_one(captured.store.pool()).await.unwrap()
        })
        .await;
        let lag = whole_lag(&captured.store).await;
        let status = whole_status(&captured.store).await;
        assert_eq!((lag.pending, lag.overdue), (COUNT_LIMIT.into(), COUNT_LIMIT.into()), "{lag:?}");
        assert!(lag.oldest.is_some_and(|age| age.as_secs() >= 3_600), "{lag:?}");
        assert_eq!((status.lag.pending, &status.lag.problems), (lag.pending, &lag.problems));

        let (mut code, mut health, mut status) = <(u16, Value, Value)>::default();
        eventually("both have counted", DEADLINE, async || {
            let [(answered, first), (_, second)] =
                answers(&captured.store, ["/health/outbox", "/api/v1/status"]).await;
            let [first, second]: [Value; 2] =
                [first, second].map(|text| serde_json::from_str(&text).unwrap());
            (code, health) = (answered, first["checks"]["outbox"].clone());
            status = second["databases"][0]["outbox"].clone();
            ![&health, &status].iter().any(|part| part["problems"].to_string().contains("could not be read"))
        })
        .await;
        assert_eq!((code, &health["status"]), (503, &"degraded".into()));
        assert_eq!((&health["pending_count"], &status["pending"]), (&10_000.into(), &10_000.into()));
        assert_eq!(health["problems"], status["problems"]);
        assert!(health["problems"].to_string().contains("is lost: the server has removed WAL"), "{health}");
        assert_eq!(status["publisher"]["mode"], "debezium");
    });
}
