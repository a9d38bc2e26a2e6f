//! The query plan of each statement of the store: none scans published, handled or resolved rows.

use messagekit_postgres::{relay_settings, statements};
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, PgConnection};

/// Returns the types of a statement's parameters, as the driver declares them.
pub(crate) fn parameters(statement: &str) -> &'static str {
    match statement {
        "claim" | "look" | "unclaim" => "text, text[]",
        "claim_keyed" | "look_keyed" => "text, text[], text[], bigint[]",
        "claim_generation" => "text, text[], text[], bigint[], int[]",
        "advance" => "text, text[], int[], int[], bigint[]",
        "next_of" => "text, text",
        "priming" | "delete_positions_of_primings" => "text",
        "begin_priming" => "text, int",
        "write_priming" => "text, int, timestamptz, boolean",
        "set_aside" => {
            "text, text, text, text, int, bigint, bytea, bigint, text, int, float8, text, bytea, bytea, text, text, text, text, text, int, text"
        }
        "list" | "versions" | "groups" => {
            "bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean, bigint"
        }
        "page" => "bigint, bigint, bigint",
        "first_of_state" => "text, bigint",
        "page_of_state" => "bigint, bigint, text, bigint",
        "totals" => {
            "bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean"
        }
        "show" | "replay" | "cancel" | "forget" => "bigint",
        "lock" | "discard" | "undo" | "lock_keys" => "bigint[]",
        "lock_selection" => {
            "bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean, bigint[]"
        }
        "retry" => "bigint[], float8[]",
        "hold_keys" => "text, text[], bigint[]",
        "let_go" => "text, text, bigint, int",
        "count_keys" => "text[], text[], bigint[], int[]",
        "promote" | "free" => "text[], text[], bigint[]",
        "park_mark" => "text, text, int",
        "park_failed_messages" => {
            "text, text[], text[], text[], int[], bigint[], bytea[], bigint[], text[], bytea[], bytea[], text, int, float8, text, text, text, text"
        }
        "mark" => "text[], text[], text, text",
        "audit" => "text, text, text, text, bigint[], text, bigint, text",
        "begin_attempt" => "text, text, text",
        "clear_attempts" => "text, text",
        "withdraw_attempt" => "text, text, text",
        "sweep" | "confirmed" | "held_in_all" => "text",
        "left" => "text",
        "clean_events" => "text, text, float8, timestamptz, bigint",
        "clean_markers" => "text, text, float8, float8",
        "clean_failed_messages" => "text, text, float8",
        "note_window" => "text, bigint",
        "note_unhandled" => "text, text[], text[], jsonb[], bigint[], bigint",
        "forget_unhandled" => "text, float8",
        "unhandled" => "text[], float8, bigint",
        "oldest_return" => "text[]",
        "too_old_for" => "text, text, text, timestamptz, timestamptz, float8",
        "note_failure" => "text, text, text",
        "lease_returns" => "text, bigint, float8, text",
        "events" => "text, text, text, timestamptz, timestamptz, timestamptz, text, bigint",
        "count" | "skipped_by" => "text, text, text, timestamptz, timestamptz",
        "reaches" | "outbox_unconfirmed" => "timestamptz",
        "order" => "text, text, text, timestamptz, timestamptz, text, bigint, text",
        "choose" => "text, text, text, timestamptz, timestamptz, bigint",
        "chosen" | "replays" | "hold" => "bigint, bigint",
        "lease_replay" | "last_checkpoint" | "prune" => "float8",
        "copy" | "take" => "bigint, bigint, bigint",
        "move" => "bigint, bigint, bigint, float8",
        "fail_replay" => "bigint, bigint, text",
        "may_write" => "int, text",
        "ping" | "hold_windows" | "oldest" | "checkpoint" | "is_relayed" | "outbox_kept"
        | "outbox_relayed" | "outbox_relays" | "relay_next_due" | "relay_last_place" | "relay_writers" => "",
        "retry_lease" => "text, bigint, float8, text",
        "retry_lease_of_topic" => "text, bigint, float8, text, text, int",
        "retry_leased" => "text, bigint, bigint",
        "retry_leased_at" => "text, text, int, bigint",
        "resolve" => "text, bigint, bigint",
        "resolve_parked" => "text, bigint, bigint, text, bigint, int",
        "begin_run" => "text, bigint, bigint, int, float8",
        "followers" => "text, bigint, bigint, bigint",
        "resolve_run" => "text, bigint, bigint[], bigint[]",
        "fail" => "text, bigint, bigint, text, float8, text, text, text, text",
        "hand_back" => "text, bigint, bigint, float8",
        "write" | "write_optional" => {
            "text[], text[], text[], text[], bytea[], text[], text[], text[], float8"
        }
        "write_linked" | "write_optional_linked" => {
            "text[], text[], text[], text[], bytea[], text[], text[], text[], float8, text[], text[], text[]"
        }
        "write_one_linked" => "text, text, text, text, bytea, text, text, text, float8, text, text, text",
        "clean_links" => "text, text, float8",
        "write_one" => "text, text, text, text, bytea, text, text, text, float8",
        "relay_lease" => "text, float8, float8, boolean, int",
        "relay_hand_over" => "text, smallint[], bigint[]",
        "relay_leave" => "text",
        "relay_hold" => "text, smallint, bigint",
        "relay_hold_any" | "relay_begin_again" => "smallint",
        "relay_pending" => "text, smallint[], bigint[], bigint[], bigint[], text[], bigint, bigint, int",
        "relay_published" => "smallint[], bigint[], text[], bigint[], text[]",
        "relay_due" | "relay_find" | "relay_put_back" | "relay_discard" => "bigint",
        "relay_set_aside" => "smallint, bigint, text, text, bigint, text",
        "relay_rejected" => "bigint, bigint, boolean",
        "topic_find" => "text[]",
        "topic_all" | "topic_keep" | "topic_next_id" | "topic_commit_look" => "",
        name if name.starts_with("topic_view_") => "",
        "topic_notify" => "text, text",
        "topic_feeding" | "topic_drop_offsets" => "text",
        "topic_end_claims" | "topic_drop_partitions" | "topic_drop" => "int",
        "topic_clear_records"
        | "topic_clear_waiting"
        | "topic_clear_old_hashes"
        | "topic_clear_old_staged"
        | "topic_clear_cursors" => "int, bigint",
        name if name.starts_with("topic_left_") => "",
        "topic_define" => "text, boolean, text, text, text[], text, bigint, bigint, boolean, bigint, int",
        "topic_replace_schema" => "text, text, text, text, text",
        "topic_set_retention" => "text, bigint, bigint, boolean, bigint",
        "topic_partitions" | "topic_hold" | "topic_claims" | "topic_clear_staged" | "topic_recount" => "int",
        "topic_waiting" => "int, bigint",
        "topic_move" => "int, bigint[], int[], bigint[], bigint[]",
        "topic_same" => "int[], text[]",
        "topic_append" => {
            "int[], int[], bigint[], text[], text[], text[], text[], text[], text[], bytea[], text[]"
        }
        "topic_link" => "text[], text[], text[], text[]",
        "topic_read" => "int, bigint, bigint, bigint, bigint",
        "topic_oldest" => "int, bigint, bigint",
        "topic_next" => "text, int, bigint, bigint",
        "topic_count" => "text, int[], bigint[], bigint[], boolean[]",
        "topic_windows" | "topic_hold_cursor" | "topic_cursors" | "topic_by_record" => "text, int",
        "topic_first_since" => "int, timestamptz",
        "topic_find_records" | "topic_records" => "int, bigint[]",
        "topic_mark_handled" => "text, text",
        "topic_mark_new" | "topic_expire_markers" => "text, text[]",
        "topic_failed_record" | "topic_handled_behind" => "text, int, bigint",
        "topic_write_cursor" => "text, int, bigint, text",
        "topic_lease_one" => "bigint, text, text",
        "topic_begin_cursors" => "text, int[]",
        "topic_pass_handled" => "text, int, bigint, bigint",
        "topic_record_keys" => "text, int, bigint[], bigint[]",
        "topic_write_window" => "text, text, int, bigint, text",
        "topic_see_windows" | "topic_hold_windows" | "topic_forget_consumer" => "text, text",
        "topic_replace_window" => "text, text, int, bigint, text, bigint, text",
        "topic_claim_bounds" => "text, text",
        "topic_read_claimed" => "text, int, bigint, bigint, bigint",
        "topic_unhandled_from" => "int, int",
        "topic_hold_overtaken" => "int, bigint",
        "topic_count_unhandled" => "int, bigint, bigint",
        "topic_expire" => "int, bigint, bigint, bigint",
        "topic_stage" => "int, text, bigint[], text[], text[], bytea[]",
        "topic_clear_hashes" => "int, text, boolean",
        "topic_redefine" => "int, text, text, text[], text",
        "topic_staged" | "topic_equal_records" => "int, text",
        name if name.starts_with("topic_swap_") => "int, text",
        other => panic!("the parameters of the statement {other} are not listed"),
    }
}

/// Returns values for statements that are planned for their values each time: the rare ones that an operator looks for.
fn values(name: &str) -> Option<String> {
    let time = "now() - interval '1 min', now()";
    Some(match name {
        "list" | "versions" => format!("{}, 0, 'billing', {}, true, 50", i64::MAX, ["NULL"; 9].join(", ")),
        "totals" => {
            format!("{}, 0, NULL, NULL, NULL, NULL, NULL, 'f-7', NULL, NULL, NULL, NULL, false", i64::MAX)
        }
        "groups" => {
            format!("{}, 0, NULL, NULL, NULL, NULL, NULL, NULL, 'k-7', 7, NULL, NULL, true, 50", i64::MAX)
        }
        "events" => format!("NULL, NULL, 'k-7', {time}, NULL, NULL, 50"),
        "too_old_for" => format!("NULL, NULL, 'k-7', {time}, 6e11"),
        "count" | "skipped_by" => format!("NULL, NULL, 'k-7', {time}"),
        "choose" => format!("NULL, NULL, 'k-7', {time}, 1"),
        "reaches" => "now() - interval '2 h'".to_owned(),
        "confirmed" => "'messagekit_shop'".to_owned(),
        "clean_events" => "'(0,0)', '(128,0)', 6e11, now(), 100000".to_owned(),
        "clean_markers" => "'(0,0)', '(128,0)', 1e11, 6e11".to_owned(),
        "clean_links" => "'(0,0)', '(128,0)', 6e11".to_owned(),
        "clean_failed_messages" => "'(0,0)', '(128,0)', 6e11".to_owned(),
        "lock" | "lock_keys" => "'{7, 100007}'".to_owned(),
        "resolve_run" => "'billing', 7, '{7, 100007}', '{1, 1}'".to_owned(),
        "relay_lease" => "'relay-1', 4e6, 64, true, 1".to_owned(),
        "relay_pending" => {
            format!("'relay-1', '{{7, 9}}', '{{1, 1}}', '{{0, 0}}', '{{7}}', '{{a.b}}', 500, {}, 80", 8 << 20)
        }
        "relay_published" => "'{7, 9}', '{107, 109}', '{e-7, e-9}', '{0, 0}', '{a.b, a.b}'".to_owned(),
        "relay_due" => "1000".to_owned(),
        "relay_set_aside" => "7, 107, 'no', 'e-7', 0, 'a.b'".to_owned(),
        "relay_rejected" => "0, 50, false".to_owned(),
        "relay_find" | "relay_put_back" | "relay_discard" => "7".to_owned(),
        "topic_expire_markers" => "'billing', '{m-7, m-100007}'".to_owned(),
        _ => return None,
    })
}

/// Returns whether a connection keeps one plan of a statement that need not scan.
fn is_kept(name: &str) -> bool {
    values(name).is_none() && !WALKS.contains(&name)
}

/// Statements on a relay's own connections.
const RELAY: [&str; 7] = [
    "relay_lease",
    "relay_hand_over",
    "relay_leave",
    "relay_pending",
    "relay_published",
    "relay_due",
    "relay_next_due",
];

/// Statements that read many rows on purpose, on request: the oldest event, to refuse earlier ranges; the markers of
/// each consumer beside the events of a replay; the whole list of a replay that ends early; the checkpoints of a week,
/// at a cleanup of the outbox; all blocked keys of a consumer, when a message is parked; the cursors of all consumers, for
/// the view of their lags; and the records of a topic that is migrated.
const WALKS: [&str; 14] = [
    "oldest",
    "skipped_by",
    "forget",
    "held_in_all",
    "left",
    "topic_view_offsets",
    "topic_staged",
    "topic_clear_staged",
    "topic_clear_hashes",
    "topic_equal_records",
    "topic_swap_hashes",
    "topic_swap_failed_messages",
    "topic_swap_records",
    "topic_recount",
];

/// Scans the markers of its consumer until the server has analysed them for the first time. It is rare: an unclaim after a
/// failure.
const UNCOUNTED: &str = "unclaim";

/// Returns the plan that a connection keeps for a statement, whatever its parameters are.
async fn plan(connection: &mut PgConnection, name: &str, text: &str) -> String {
    let parameters = parameters(name);
    let (mode, values) = match values(name) {
        Some(values) => ("force_custom_plan", values),
        None => ("force_generic_plan", vec!["NULL"; parameters.split(", ").count()].join(", ")),
    };
    let (parameters, values) = match parameters {
        "" => (String::new(), String::new()),
        _ => (format!("({parameters})"), format!("({values})")),
    };
    // Some names are words of SQL.
    let settings = if RELAY.contains(&name) { relay_settings() } else { "" };
    let prepare =
        format!("{settings}; SET plan_cache_mode = {mode}; PREPARE \"{name}\" {parameters} AS {text}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect(name);
    let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE \"{name}\" {values}")));
    let lines = explain.fetch_all(&mut *connection).await.expect(name);
    let forget = format!("DEALLOCATE \"{name}\"; RESET ALL");
    sqlx::raw_sql(AssertSqlSafe(forget)).execute(connection).await.expect(name);
    let line = |row: &sqlx::postgres::PgRow| sqlx::Row::get::<String, _>(row, 0);
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns whether a plan scans a table or all rows of a consumer.
fn walks(plan: &str) -> bool {
    let tables = [
        "outbox_events",
        "processed_messages",
        "failed_messages",
        "consumer_offsets",
        "consumer_primings",
        "unhandled_types",
        "replay_items",
        "admin_audit",
        "outbox_pending",
        "outbox_rejected",
        "topic_records",
        "topic_waiting",
        "topic_dedup_hashes",
        "consumer_cursors",
    ];
    let mut lines = plan.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |next| next.trim());
        let whole_table = tables.iter().any(|table| line.contains(&format!("Seq Scan on {table}")));
        // Few rows: messages in flight, running replays, refused events, current relays, windows, the priming and the types without
        // a handler of a consumer, and topics.
        if line.contains("Delete on in_flight_attempts") {
            continue;
        }
        if line.contains(" on in_flight_attempts")
            || line.contains("using replay_jobs_running")
            || line.contains("using outbox_rejected_heads")
            || line.contains("using relay_shards_pkey")
            || line.contains("using relay_members_pkey")
            || line.contains(" consumer_windows_pkey")
            || line.contains(" consumer_primings_pkey")
            || line.contains(" unhandled_types_pkey")
            || line.contains("using topics_name_key")
        {
            lines.next();
            continue;
        }
        let whole_index = line.contains("Index") && line.contains("Scan") && !next.starts_with("Index Cond");
        if whole_table || whole_index || line.trim() == "Index Cond: (consumer = $1)" {
            return true;
        }
    }
    false
}

async fn no_plan_walks_a_table(connection: &mut PgConnection, names: impl Fn(&str) -> bool) {
    let mut walking = Vec::new();
    // Lookups of one event and counts of an outbox are measured by what they read: see event_history/lookups.rs and
    // outbox_cost.rs.
    let is_measured = |name: &str| name.starts_with("history_") || name.starts_with("outbox_");
    let planned = statements().iter().filter(|(name, _)| !is_measured(name) && names(name));
    for (name, text) in planned {
        let plan = plan(connection, name, text).await;
        if walks(&plan) {
            walking.push(format!("{name}:\n{plan}"));
        }
    }
    assert!(walking.is_empty(), "{}", walking.join("\n\n"));
}

#[test]
fn table_walks_differ_from_index_lookups() {
    assert!(walks("Limit\n  ->  Seq Scan on failed_messages d\n        Filter: (id = $1)"));
    assert!(walks("Index Only Scan using outbox_events_pkey on outbox_events\n  Filter: (seq > $1)"));
    assert!(walks("Bitmap Index Scan on processed_messages_pkey\n  Index Cond: (consumer = $1)"));
    assert!(!walks(
        "Index Scan using processed_messages_pkey on processed_messages\n  Index Cond: ((consumer = $1) AND (message_id = $2))"
    ));
    assert!(!walks("Insert on processed_messages\n  Conflict Arbiter Indexes: processed_messages_pkey"));
}

const FILL: &str = "
INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
  SELECT 'e-' || n, 'orders.order', 'k-' || n % 1000, '{}', now() - (100000 - n) * interval '10 ms'
  FROM generate_series(1, 100000) n;
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome)
  SELECT 'billing', 'm-' || n, CASE WHEN n <= 100000 THEN 'done' ELSE 'held' END FROM generate_series(1, 101000) n;
INSERT INTO messagekit.failed_messages (consumer, message_id, topic, key, key_hash, state, reason, attempts, due, headers, payload,
    kind, error, fingerprint)
  SELECT 'billing', 'm-' || n, 'orders.order', convert_to('k-' || n % 1000, 'UTF8'), n % 1000, CASE WHEN n <= 100000 THEN 'resolved' WHEN n % 2 = 0 THEN 'dead' ELSE 'retry_scheduled' END,
    'set_aside', 1, CASE WHEN n > 100000 AND n % 2 = 1 THEN now() END, '[]', '{}', 'failed', 'no stock', 'f-' || n % 1000
  FROM generate_series(1, 101000) n;
INSERT INTO messagekit.consumer_offsets (consumer, topic, partition, next)
  SELECT 'billing-' || n / 100, 'orders.order', n % 100, n FROM generate_series(1, 10000) n;
INSERT INTO messagekit.consumer_primings SELECT 'billing-' || n, now() FROM generate_series(1, 10000) n;
INSERT INTO messagekit.unhandled_types (consumer, topic, event_type, similar_to, messages)
  SELECT 'billing-' || n / 100, 'orders.order', 't-' || n, '{}', n FROM generate_series(1, 10000) n;
INSERT INTO messagekit.outbox_checkpoints SELECT now() - n * interval '10 s', '0/1'::pg_lsn + (100000 - n) FROM generate_series(1, 60000) n;
INSERT INTO messagekit.replay_items SELECT 1, n, 'e-' || n FROM generate_series(1, 100000) n;
INSERT INTO messagekit.outbox_pending (shard, copy, seq, key_hash, available_at, event_id, topic)
  SELECT n % 65 - n % 65 / 64 * 65, 0, n, n % 1000, now(), 'e-' || n, 'orders.order' FROM generate_series(1, 100000) n;
INSERT INTO messagekit.outbox_rejected (shard, attempts, copy, seq, key_hash, event_id, topic, error)
  SELECT n % 64, 0, 0, n, n % 100, 'e-' || n, 'orders.order', CASE WHEN n <= 100 THEN 'no' END FROM generate_series(1, 10000) n;
INSERT INTO messagekit.topics (name) SELECT 'topic.' || n FROM generate_series(1, 100) n;
INSERT INTO messagekit.topic_partitions (topic_id, partition, next_offset) SELECT n, 0, 1000 FROM generate_series(1, 100) n;
INSERT INTO messagekit.topic_records (tp_id, \"offset\", id, topic_id, event_id, payload)
  SELECT n % 100 + 1, n / 100, n, n % 100 + 1, 'm-' || n, '{}' FROM generate_series(1, 100000) n;
INSERT INTO messagekit.topic_waiting (topic_id, event_id, payload) SELECT n % 100 + 1, 'w-' || n, '{}' FROM generate_series(1, 100000) n;
INSERT INTO messagekit.topic_dedup_hashes SELECT n % 100 + 1, 'h-' || n, n FROM generate_series(1, 100000) n;
INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next) SELECT 'c-' || n, n % 100 + 1, 7 FROM generate_series(1, 10000) n;
INSERT INTO messagekit.admin_audit (operator, through, act, done) SELECT 'ann', 'cli', 'retry', 1 FROM generate_series(1, 10000) n;";

#[test]
fn no_plan_walks_what_is_finished() {
    block_on(async {
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        sqlx::raw_sql(FILL).execute(&mut connection).await.expect("fills the tables");
        // The server estimates tables without statistics by the size of their file.
        no_plan_walks_a_table(&mut connection, is_kept).await;
        sqlx::raw_sql("ANALYZE").execute(&mut connection).await.expect("counts the rows");
        no_plan_walks_a_table(&mut connection, |name| !WALKS.contains(&name)).await;
    });
}

/// A plan that a connection makes on its first day is kept while the tables grow.
#[test]
fn no_plan_of_the_first_day_walks_a_table() {
    block_on(async {
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        // Statements that are planned for their values follow the tables as they grow.
        no_plan_walks_a_table(&mut connection, is_kept).await;
        // An hour later, before the server has analysed the rows.
        let few = FILL
            .replace("series(1, 101000)", "series(1, 2000)")
            .replace("series(1, 100000)", "series(1, 2000)");
        sqlx::raw_sql(AssertSqlSafe(few)).execute(&mut connection).await.expect("fills the tables");
        no_plan_walks_a_table(&mut connection, |name| is_kept(name) && name != UNCOUNTED).await;

        // A day begins with an empty partition, every midnight.
        let mut connection = Database::divided().await.connection().await;
        no_plan_walks_a_table(&mut connection, is_kept).await;
    });
}
