//! What the state of a large database costs at a glance.

use std::time::Duration;

use messagekit::operations::{COUNT_LIMIT, ConsumerPosition, DatabaseStatus, FailedMessageState};
use messagekit_postgres::count_settings;
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::AssertSqlSafe;

use crate::outbox_cost::{MOST_ROWS, explained, rows_read};
use crate::relay::outbox::Relayed;
use crate::whole_lag::whole_status;

/// The events and the failed messages of the gate, and with `MESSAGEKIT_FULL=1`.
fn sizes() -> (u64, u64) {
    if messagekit_tests::is_full() { (1_000_000, 100_000) } else { (50_000, 20_000) }
}

const FILL: &str = "
INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
  SELECT 'e-' || n, 'orders.order', 'k-' || n % 1000, '{}', now() - (EVENTS - n) * interval '1 ms'
  FROM generate_series(1, EVENTS) n;
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome)
  SELECT 'billing', 'e-' || n, 'done' FROM generate_series(1, EVENTS) n;
INSERT INTO messagekit.failed_messages (consumer, message_id, topic, state, reason, attempts, due, headers, payload, kind, error,
    fingerprint)
  SELECT (ARRAY['billing', 'mail'])[1 + n % 2], 'm-' || n, 'orders.order',
    CASE WHEN n % 4 = 0 THEN 'retry_scheduled' ELSE 'dead' END, 'set_aside', 1, CASE WHEN n % 4 = 0 THEN now() END,
    '[]', '{}', 'failed', 'no stock', 'f-1'
  FROM generate_series(1, FAILED) n;
INSERT INTO messagekit.topics (name) VALUES ('shop.parcel'), ('shop.reading');
INSERT INTO messagekit.topic_partitions (topic_id, partition, next_offset) SELECT t.id, n, 5
  FROM messagekit.topics t, generate_series(0, 999) n WHERE t.name = 'shop.parcel' OR n < 4;
INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next) SELECT c, p.id, 2
  FROM messagekit.topic_partitions p JOIN messagekit.topics t ON t.id = p.topic_id, unnest(ARRAY['billing', 'mail']) c
  WHERE t.name = 'shop.parcel' AND p.partition < 900;
INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next) SELECT 'a-' || n, p.id, 2
  FROM messagekit.topic_partitions p JOIN messagekit.topics t ON t.id = p.topic_id, generate_series(1, 600) n
  WHERE t.name = 'shop.reading';
INSERT INTO messagekit.outbox_pending (shard, copy, seq, available_at, event_id, topic)
  SELECT n % 64, 0, n, now() - interval '1 min', 'e-' || n, 'orders.order' FROM generate_series(1, EVENTS) n";

/// Each statement that the status of consumers runs, with its parameters.
const STATEMENTS: [(&str, &str, &str); 3] = [
    ("history_status_consumers", "float8, text", "6e7, 'z'"),
    ("history_status_states", "text[]", "'{billing, mail}'"),
    ("history_status_positions", "text[]", "'{billing, mail}'"),
];

#[test]
fn status_of_a_large_database_reads_a_bounded_number_of_rows() {
    block_on(async {
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        let (events, failed) = sizes();
        let fill = FILL.replace("EVENTS", &events.to_string()).replace("FAILED", &failed.to_string());
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.expect("fills the tables");
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await.expect("as autovacuum does");
        let store = database.store().await;
        for has_relay in [false, true] {
            if has_relay {
                let trigger = "CREATE TRIGGER outbox_is_pending AFTER INSERT ON messagekit.outbox_events
                  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION messagekit.outbox_is_pending()";
                sqlx::raw_sql(trigger).execute(&mut connection).await.expect("a relay publishes from now on");
            }
            let outbox = whole_status(&store).await;
            let consumers = store.consumer_statuses().await.unwrap();
            assert_eq!(outbox.lag.pending, u64::from(COUNT_LIMIT), "{outbox:?}");
            let oldest = Duration::from_millis(if has_relay { 60_000 } else { events });
            assert!(
                outbox.lag.oldest.is_some_and(|age| age >= oldest),
                "the first id is the oldest: {outbox:?}"
            );
            let names: Vec<&str> = consumers.iter().map(|one| one.consumer.as_str()).collect();
            // Names that were used once to read a topic leave out no consumer of which more is known.
            assert_eq!((names.len(), names[498], names[499]), (500, "billing", "mail"));
            let [billing, mail] = &consumers[498..] else { panic!("two consumers have messages") };
            let dead = mail.failed_messages.iter().find(|count| count.state == FailedMessageState::Dead);
            assert_eq!(dead.map(|count| count.failed_messages), Some((failed / 2).min(COUNT_LIMIT.into())));
            assert!(billing.newest_marker_at.is_some(), "{billing:?}");
            let behind = |position: &ConsumerPosition| (position.partition, position.next, position.behind);
            assert_eq!(billing.positions.first().map(behind), Some((0, 2, Some(3))));
        }
        for statement in STATEMENTS {
            let read = rows_read(&explained(&mut connection, statement, count_settings()).await);
            println!("{}: {read} rows", statement.0);
            assert!(read < MOST_ROWS, "{}: {read} rows", statement.0);
        }
    });
}

#[test]
fn oldest_is_found_in_any_topic_and_among_due_delayed_events() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let oldest = async || whole_status(&relayed.store).await.lag.oldest.unwrap().as_secs();
        // One key has one shard.
        relayed.write_to("a.first", "young", Some("k")).await;
        relayed.write_to("b.second", "old", Some("k")).await;
        let age = |event: &str, age: &str| {
            let set = "UPDATE messagekit.outbox_pending SET available_at = now() - interval";
            sqlx::raw_sql(AssertSqlSafe(format!("{set} '{age}' WHERE event_id = '{event}'")))
        };
        age("old", "10 min").execute(relayed.store.pool()).await.unwrap();
        assert!((600..700).contains(&oldest().await), "in the later topic");

        let delayed = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
            VALUES ('due', 'a.first', '{}', now() + interval '1 h')";
        sqlx::raw_sql(delayed).execute(relayed.store.pool()).await.unwrap();
        assert!((600..700).contains(&oldest().await), "it is not due");
        age("due", "20 min").execute(relayed.store.pool()).await.unwrap();
        assert!((1_200..1_300).contains(&oldest().await), "it is due");
    });
}

#[test]
fn partitions_that_a_consumer_has_not_read_yet_are_behind() {
    block_on(async {
        let database = Database::fresh().await;
        let fill = "
            INSERT INTO messagekit.topics (name) VALUES ('shop.parcel');
            INSERT INTO messagekit.topic_partitions (topic_id, partition, next_offset, log_start)
              SELECT id, n, 9, 4 * n FROM messagekit.topics, generate_series(0, 2) n;
            INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next, ranges)
              SELECT 'mail', id, 2, '[{\"from\": 2, \"to\": 3, \"attempts\": 1, \"state\": {\"waiting\": {\"due\": 0, \"is_alone\": false}}},
                {\"from\": 3, \"to\": 7, \"attempts\": 1, \"state\": \"settled\"}]'
              FROM messagekit.topic_partitions WHERE partition < 2";
        let mut connection = database.connection().await;
        sqlx::raw_sql(fill).execute(&mut connection).await.expect("fills the tables");
        let consumers = database.store().await.consumer_statuses().await.unwrap();
        let positions = consumers[0].positions.iter();
        let positions: Vec<_> = positions.map(|one| (one.partition, one.next, one.behind)).collect();
        assert_eq!(positions, [(0, 2, Some(3)), (1, 4, Some(2)), (2, 8, Some(1))]);
        let view = "SELECT lag FROM messagekit.system_topic_offsets ORDER BY partition_id";
        let lags: Vec<i64> = sqlx::query_scalar(view).fetch_all(&mut connection).await.expect("reads");
        assert_eq!(lags, [3, 2, 1], "as SQL tools see it");
    });
}
