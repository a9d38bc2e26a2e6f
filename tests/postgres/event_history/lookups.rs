//! What a lookup costs: a fixed number of statements, each of some blocks, however many rows there are.

use std::time::Instant;

use messagekit::MessageId;
use messagekit::operations::EventHistory;
use messagekit_postgres::{PostgresStore, statements};
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::counter::Counter;

/// The events of the gate, and with `MESSAGEKIT_FULL=1`.
fn events() -> u64 {
    if messagekit_tests::is_full() { 1_000_000 } else { 50_000 }
}

/// Half of the events have links: chains of five, each with one event that leads to twenty. Three consumers have handled each.
const FILL: &str = "
INSERT INTO messagekit.outbox_events (event_id, topic, event_type, aggregate_id, payload, created_at)
  SELECT 'e-' || n, 'orders.order', 'orders.order.placed', 'k-' || n % 1000, '{}', now() - (EVENTS - n) * interval '1 ms'
  FROM generate_series(1, EVENTS) n;
INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id)
  SELECT 'e-' || n, 'e-' || n / 20 * 20, 'e-' || n / 20 * 20 FROM generate_series(1, EVENTS) n WHERE n % 20 <> 0;
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome)
  SELECT c, 'e-' || n, 'done' FROM generate_series(1, EVENTS) n, unnest(ARRAY['billing', 'mail', 'stock']) c;
INSERT INTO messagekit.failed_messages (consumer, message_id, topic, state, reason, attempts, headers, payload, kind, error,
    fingerprint)
  SELECT c, 'e-' || n, 'orders.order', 'dead', 'set_aside', 1, '[]', '{}', 'failed', 'no stock', 'f-' || n % 1000
  FROM generate_series(1, EVENTS / 10) n, unnest(ARRAY['billing', 'mail']) c;
INSERT INTO messagekit.outbox_failures (event_id, consumer, reason)
  SELECT 'e-' || n, 'queue:orders', 'rejected' FROM generate_series(1, EVENTS / 10) n;
INSERT INTO messagekit.outbox_pending (shard, copy, seq, available_at, event_id, topic)
  SELECT n % 64, 0, n, now(), 'e-' || n, 'orders.order' FROM generate_series(EVENTS - EVENTS / 10, EVENTS) n;
INSERT INTO messagekit.admin_audit (operator, through, act, failed_messages, done)
  SELECT 'ann', 'cli', 'retry', ARRAY[n], 1 FROM generate_series(1, EVENTS / 5) n;
ANALYZE";

/// The statements of a lookup, with values.
const LOOKUPS: [(&str, &str, &str); 11] = [
    ("history_event", "text", "'e-4711'"),
    ("history_outcomes", "text, bigint", "'e-4711', 100"),
    ("history_failed_messages", "text, bigint", "'e-4711', 100"),
    ("history_failures", "text, bigint", "'e-4711', 100"),
    ("history_actions", "bigint[], text[], text, bigint", "'{4711, 4712}', '{1, 2}', 'e-4711', 100"),
    (
        "history_audit",
        "bigint, text, text, timestamptz, timestamptz, bigint, text, bigint",
        "9223372036854775807, NULL, NULL, NULL, NULL, 4711, NULL, 100",
    ),
    ("history_republished", "text, bigint", "'e-4711', 100"),
    ("history_correlated", "text, bigint", "'e-4700', 100"),
    ("history_linked", "text[], text[], bigint", "'{e-4700, e-4711}', '{e-4700, e-4720}', 100"),
    ("history_unpublished", "bigint", "50"),
    ("history_publisher", "text, text", "'messagekit_shop', 'messagekit_outbox'"),
];

/// Somewhat more than each reads of 50000 events; a million adds a level to some indexes.
fn most_blocks(lookup: &str) -> i64 {
    match lookup {
        "history_unpublished" => 4_000,
        "history_linked" => 400,
        "history_correlated" => 250,
        "history_actions" | "history_audit" => 100,
        _ => 60,
    }
}

/// Returns the plan with what was read.
async fn explained(
    connection: &mut PgConnection,
    (name, types, values): (&str, &str, &str),
) -> serde_json::Value {
    let text = statements().iter().find(|(known, _)| *known == name).unwrap().1;
    let prepare = format!("SET plan_cache_mode = force_custom_plan; PREPARE lookup ({types}) AS {text}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect(name);
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE lookup ({values})");
    let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.expect(name);
    sqlx::raw_sql("DEALLOCATE lookup").execute(connection).await.expect(name);
    sqlx::Row::get::<serde_json::Value, _>(&plan, 0)[0].clone()
}

/// The tables that the test fills. In an empty one the planner reads the whole of nothing.
const FILLED: [&str; 7] = [
    "outbox_events",
    "outbox_links",
    "outbox_failures",
    "outbox_pending",
    "processed_messages",
    "failed_messages",
    "admin_audit",
];

/// Returns the filled tables that a plan, or a part of it, reads from end to end.
fn whole_tables(plan: &serde_json::Value) -> Vec<&str> {
    let table = plan["Relation Name"].as_str();
    let scanned = table.filter(|table| plan["Node Type"] == "Seq Scan" && FILLED.contains(table));
    let parts = plan["Plans"].as_array().into_iter().flatten();
    scanned.into_iter().chain(parts.flat_map(whole_tables)).collect()
}

#[test]
fn lookups_read_the_rows_of_an_index() {
    block_on(async {
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        let fill = FILL.replace("EVENTS", &events().to_string());
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.expect("fills the tables");
        let mut costly = Vec::new();
        for lookup in LOOKUPS {
            let explained = explained(&mut connection, lookup).await;
            let plan = &explained["Plan"];
            let blocks = ["Shared Hit Blocks", "Shared Read Blocks"].map(|kind| plan[kind].as_i64().unwrap());
            let read: i64 = blocks.iter().sum();
            println!("{}: {read} blocks, {} ms", lookup.0, explained["Execution Time"]);
            let scanned = whole_tables(plan);
            if read > most_blocks(lookup.0) || !scanned.is_empty() {
                costly.push(format!("{}: {read} blocks, whole tables {scanned:?}", lookup.0));
            }
        }
        assert_eq!(costly, Vec::<String>::new());
        let store = database.store().await;
        let began = Instant::now();
        let record = store.event_record(&"e-4711".parse().unwrap()).await.unwrap();
        println!("the record of one of {} events: {:?}", events(), began.elapsed());
        assert_eq!((record.outcomes.len(), record.failed_messages.len(), record.actions.len()), (3, 2, 2));
    });
}

#[test]
fn record_costs_the_same_statements_whatever_it_finds() {
    block_on(async {
        let database = Database::fresh().await;
        let counter = Counter::to(&database).await;
        let store =
            PostgresStore::options().max_connections(1).connect(&counter.url(&database)).await.unwrap();
        let mut connection = database.connection().await;
        let fill = FILL.replace("EVENTS", "1000");
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.expect("fills the tables");
        let mut costs = Vec::new();
        // The first statements of a connection come before the count.
        for event in ["e-1", "e-1", "e-999"] {
            counter.take();
            store.event_record(&event.parse().unwrap()).await.unwrap();
            costs.push(counter.take().len());
        }
        assert_eq!(costs[1..], [8, 8], "one for each table");

        let all: Vec<MessageId> =
            (0..50).map(|number| format!("e-{}", number * 20).parse().unwrap()).collect();
        counter.take();
        assert_eq!(store.linked_events(&all, &all, 2_000).await.unwrap().len(), 49 + 950);
        assert_eq!(counter.take().len(), 1);
    });
}
