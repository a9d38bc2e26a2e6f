//! How the server runs each statement of the store: never by walking what was published, handled or resolved.

use messagekit_postgres::statements;
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, PgConnection};

/// The types of a statement's parameters, as the driver declares them.
fn parameters(statement: &str) -> &'static str {
    match statement {
        "claim" | "look" | "unclaim" => "text, text[]",
        "claim_generation" => "text, text[], int[]",
        "advance" => "text, text[], int[], int[], bigint[]",
        "next_of" => "text, text",
        "set_aside" => {
            "text, text, text, text, int, bigint, bytea, bigint, text, int, float8, text, bytea, bytea, text, text, text"
        }
        "list" => "bigint, text, text, text, bigint",
        "show" | "retry" | "state" => "bigint",
        "lease" => "text, bigint, float8",
        "resolve" => "text, bigint, bigint",
        "fail" => "text, bigint, bigint, text, float8, text, text, text",
        "hand_back" => "text, bigint, bigint, float8",
        "write" => "text[], text[], text[], text[], bytea[], text[], text[], text[]",
        "write_one" => "text, text, text, text, bytea, text, text, text",
        other => panic!("the parameters of the statement {other} are not listed"),
    }
}

/// Returns the plan that a connection keeps for a statement, whatever its parameters are.
async fn plan(connection: &mut PgConnection, name: &str, text: &str) -> String {
    let parameters = parameters(name);
    // What is planned for its values each time is asked with values.
    let (mode, values) = match name {
        "list" => ("force_custom_plan", format!("{}, 'billing', NULL, NULL, 50", i64::MAX)),
        _ => ("force_generic_plan", vec!["NULL"; parameters.split(", ").count()].join(", ")),
    };
    let prepare = format!("SET plan_cache_mode = {mode}; PREPARE {name} ({parameters}) AS {text}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect(name);
    let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE {name} ({values})")));
    let lines = explain.fetch_all(&mut *connection).await.expect(name);
    sqlx::raw_sql(AssertSqlSafe(format!("DEALLOCATE {name}"))).execute(connection).await.expect(name);
    let line = |row: &sqlx::postgres::PgRow| sqlx::Row::get::<String, _>(row, 0);
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Says whether a plan goes through a table or through everything that a consumer ever had in it.
fn walks(plan: &str) -> bool {
    let tables = ["outbox_events", "processed_messages", "dead_letters", "consumer_offsets"];
    let mut lines = plan.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |next| next.trim());
        let whole_table = tables.iter().any(|table| line.contains(&format!("Seq Scan on {table}")));
        let whole_index = line.contains("Index") && line.contains("Scan") && !next.starts_with("Index Cond");
        if whole_table || whole_index || line.trim() == "Index Cond: (consumer = $1)" {
            return true;
        }
    }
    false
}

async fn no_plan_walks_a_table(connection: &mut PgConnection, names: impl Fn(&str) -> bool) {
    let mut walking = Vec::new();
    for (name, text) in statements().iter().filter(|(name, _)| names(name)) {
        let plan = plan(connection, name, text).await;
        if walks(&plan) {
            walking.push(format!("{name}:\n{plan}"));
        }
    }
    assert!(walking.is_empty(), "{}", walking.join("\n\n"));
}

#[test]
fn walks_are_told_from_look_ups() {
    assert!(walks("Limit\n  ->  Seq Scan on dead_letters d\n        Filter: (id = $1)"));
    assert!(walks("Index Only Scan using outbox_events_pkey on outbox_events\n  Filter: (seq > $1)"));
    assert!(walks("Bitmap Index Scan on processed_messages_pkey\n  Index Cond: (consumer = $1)"));
    assert!(!walks(
        "Index Scan using processed_messages_pkey on processed_messages\n  Index Cond: ((consumer = $1) AND (message_id = $2))"
    ));
    assert!(!walks("Insert on processed_messages\n  Conflict Arbiter Indexes: processed_messages_pkey"));
}

const FILL: &str = "
INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
  SELECT 'e-' || n, 'orders.order', 'k-' || n % 1000, '{}' FROM generate_series(1, 100000) n;
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome)
  SELECT 'billing', 'm-' || n, CASE WHEN n <= 100000 THEN 'done' ELSE 'held' END FROM generate_series(1, 101000) n;
INSERT INTO messagekit.dead_letters (consumer, message_id, topic, state, attempts, due, headers, payload, kind, error, fingerprint)
  SELECT 'billing', 'm-' || n, 'orders.order', CASE WHEN n <= 100000 THEN 'resolved' WHEN n % 2 = 0 THEN 'dead' ELSE 'retrying' END,
    1, CASE WHEN n > 100000 AND n % 2 = 1 THEN now() END, '[]', '{}', 'failed', 'no stock', '0'
  FROM generate_series(1, 101000) n;
INSERT INTO messagekit.consumer_offsets (consumer, topic, partition, next)
  SELECT 'billing-' || n / 100, 'orders.order', n % 100, n FROM generate_series(1, 10000) n;
ANALYZE";

#[test]
fn no_plan_walks_what_is_finished() {
    block_on(async {
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        sqlx::raw_sql(FILL).execute(&mut connection).await.expect("fills the tables");
        no_plan_walks_a_table(&mut connection, |_| true).await;
    });
}

/// A plan that a connection makes on its first day is kept while the tables grow.
#[test]
fn no_plan_of_the_first_day_walks_a_table() {
    block_on(async {
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        // The list is planned for each filter anew.
        no_plan_walks_a_table(&mut connection, |name| name != "list").await;
    });
}
