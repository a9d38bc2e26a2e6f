//! Bounded counts of the outbox and of each consumer.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::OperatorRow;
use messagekit::cleanup::NOTED_WITHIN;
use messagekit::operations::{ConsumerPosition, ConsumerStatus, StateCount, beyond_ids_of};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::cleanup::window;
use super::index_steps::names_of;
use super::operator_row::{self, PgColumns};
use super::{age, micros, unhandled_types};
use crate::SchemaName;
use crate::error::from_sqlx;

/// What an outbox has beside the events that have not left. Without a relay no event is delayed.
pub(crate) const OUTBOX: &str = "
SELECT (SELECT count(*) FROM (SELECT FROM messagekit.outbox_pending WHERE shard < 0 AND available_at > now() LIMIT 10000) d) AS delayed,
  (SELECT count(*) FROM (SELECT FROM messagekit.outbox_rejected WHERE error IS NOT NULL LIMIT 10000) r) AS rejected,
  (SELECT count(*) FROM (SELECT FROM messagekit.replay_jobs WHERE state = 'running' LIMIT 10000) j) AS replays";

/// Consumers of which no more is known than where they read come after the others, as a name that was used once stays. Cursors are one row
/// for each consumer and partition, and are read whole. The oldest failed message of a state is that of the smallest number. The state is a
/// range of one, because with an equality the planner would walk all numbers.
pub(crate) const CONSUMERS: &str = concat!(
    "WITH RECURSIVE ",
    names_of!("marked", "processed_messages"),
    ", ",
    names_of!("failed", "failed_messages"),
    ", ",
    names_of!("positioned", "consumer_offsets"),
    ",
names AS MATERIALIZED (
  SELECT consumer FROM (
    SELECT consumer, false AS only_reads FROM marked WHERE consumer IS NOT NULL
    UNION ALL SELECT consumer, false FROM failed WHERE consumer IS NOT NULL
    UNION ALL SELECT consumer, false FROM positioned WHERE consumer IS NOT NULL
    UNION ALL SELECT consumer, false FROM messagekit.consumer_windows
    UNION ALL SELECT consumer, true FROM messagekit.consumer_cursors) known
  GROUP BY consumer ORDER BY bool_and(only_reads), consumer LIMIT 500)
SELECT n.consumer, GREATEST((SELECT m.processed_at FROM messagekit.processed_messages m
    WHERE m.consumer = n.consumer ORDER BY m.message_id DESC LIMIT 1),
    (SELECT m.processed_at FROM messagekit.processed_messages m
    WHERE m.consumer = n.consumer AND m.message_id < $2 ORDER BY m.message_id DESC LIMIT 1)) AS marked_at,
  w.noted_at, (SELECT max(r.seconds) FROM messagekit.consumer_windows r
    WHERE r.consumer = n.consumer AND r.noted_at > w.noted_at - $1 * interval '1 microsecond') AS seconds,
  (SELECT count(*) FROM (SELECT FROM messagekit.blocked_keys b
    WHERE b.consumer = n.consumer AND b.count > 0 LIMIT 10000) k) AS blocked_keys,
  (SELECT count(*) FROM (SELECT FROM messagekit.failed_messages d
    WHERE d.consumer = n.consumer AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= now() LIMIT 10000) r) AS retries_due,
  (SELECT min(o.set_aside_at) FROM (VALUES ('retry_scheduled'), ('blocked'), ('dead'), ('retry_requested')) s (state)
    CROSS JOIN LATERAL (SELECT d.set_aside_at FROM messagekit.failed_messages d
      WHERE d.consumer = n.consumer AND d.state >= s.state AND d.state <= s.state ORDER BY d.state, d.id LIMIT 1) o) AS oldest_failed_at
FROM names n LEFT JOIN LATERAL (
  SELECT max(x.noted_at) AS noted_at FROM messagekit.consumer_windows x WHERE x.consumer = n.consumer) w ON true
ORDER BY n.consumer"
);

/// How long ago a process of a consumer noted that it runs, in microseconds.
pub(crate) const LAST_SEEN: &str = "
SELECT (extract(epoch FROM clock_timestamp() - max(w.noted_at)) * 1000000)::bigint FROM messagekit.consumer_windows w
WHERE w.consumer = $1";

/// A count of each state of each consumer stops at its limit.
pub(crate) const STATES: &str = "
SELECT n.consumer, s.state, c.failed_messages FROM unnest($1::text[]) AS n (consumer)
  CROSS JOIN (VALUES ('retry_scheduled'), ('blocked'), ('dead'), ('retry_requested'), ('resolved'), ('discarded')) s (state)
  CROSS JOIN LATERAL (
    SELECT count(*) AS failed_messages FROM (SELECT FROM messagekit.failed_messages d
      WHERE d.consumer = n.consumer AND d.state = s.state LIMIT 10000) f) c
WHERE c.failed_messages > 0";

/// Positions in the topics of the database, which knows their ends, and in those of a broker, at most 1,000 of a consumer; of many consumers
/// first those that each has first. What is behind is counted as in the view `system_topic_offsets`, also where a consumer has read
/// nothing of a partition yet, and only for what is returned.
pub(crate) const POSITIONS: &str = "
SELECT k.consumer, k.topic, k.partition, k.next, CASE WHEN k.until IS NOT NULL THEN greatest(k.until - k.next - coalesce((
    SELECT sum(greatest((r.value ->> 'to')::bigint - greatest((r.value ->> 'from')::bigint, k.next), 0))::bigint
    FROM jsonb_array_elements(k.ranges::jsonb) r WHERE r.value ->> 'state' = 'settled'), 0), 0) END AS behind
FROM (
  SELECT a.*, row_number() OVER (PARTITION BY a.consumer ORDER BY a.topic, a.partition, a.until) AS nth FROM (
    SELECT g.consumer, t.name AS topic, p.partition, greatest(c.next, p.log_start) AS next, p.next_offset AS until, c.ranges
    FROM (
        SELECT DISTINCT b.consumer, o.topic_id FROM messagekit.consumer_cursors b
        JOIN messagekit.topic_partitions o ON o.id = b.tp_id WHERE b.consumer = ANY ($1::text[])) g
      JOIN messagekit.topics t ON t.id = g.topic_id
      JOIN messagekit.topic_partitions p ON p.topic_id = g.topic_id
      LEFT JOIN messagekit.consumer_cursors c ON c.tp_id = p.id AND c.consumer = g.consumer
    UNION ALL
    SELECT f.consumer, f.topic, f.partition, min(f.next), NULL, NULL
    FROM messagekit.consumer_offsets f WHERE f.consumer = ANY ($1::text[]) AND f.key_lane >= 0 GROUP BY f.consumer, f.topic, f.partition) a
  ORDER BY nth, a.consumer LIMIT 10000) k
WHERE k.nth <= 1000 ORDER BY k.consumer, k.topic, k.partition, k.until";

/// The counts of an outbox beside the events that have not left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OtherCounts {
    pub(crate) delayed: u64,
    pub(crate) rejected: u64,
    pub(crate) running_replays: u64,
}

/// Counts what an outbox has beside the events that have not left.
pub(crate) async fn outbox(connection: &mut PgConnection, schema: &SchemaName) -> Result<OtherCounts, Error> {
    let select = sqlx::query(schema.sql(OUTBOX)).persistent(false);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs).map_err(from_sqlx);
    Ok(OtherCounts {
        delayed: count("delayed")?,
        rejected: count("rejected")?,
        running_replays: count("replays")?,
    })
}

/// Returns what the database knows of each consumer, by name.
pub(crate) async fn consumers(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Vec<ConsumerStatus>, Error> {
    let select = sqlx::query(schema.sql(CONSUMERS)).persistent(false);
    let select = select.bind(micros(NOTED_WITHIN)).bind(beyond_ids_of(jiff::Timestamp::now()));
    let rows = select.fetch_all(&mut *connection).await.map_err(from_sqlx)?;
    let mut statuses: BTreeMap<String, ConsumerStatus> = BTreeMap::new();
    for row in &rows {
        let status = status_of(row)?;
        statuses.insert(status.consumer.clone(), status);
    }
    let names: Vec<String> = statuses.keys().cloned().collect();
    let select = sqlx::query(schema.sql(STATES)).persistent(false).bind(&names);
    for (consumer, count) in operator_row::list::<(String, StateCount)>(&mut *connection, select).await? {
        statuses.entry(consumer).and_modify(|status| status.failed_messages.push(count));
    }
    for (consumer, messages) in unhandled_types::of(&mut *connection, schema, &names).await? {
        statuses.entry(consumer).and_modify(|status| status.unhandled.push(messages));
    }
    let select = sqlx::query(schema.sql(POSITIONS)).persistent(false).bind(&names);
    for (consumer, position) in operator_row::list::<(String, ConsumerPosition)>(connection, select).await? {
        statuses.entry(consumer).and_modify(|status| status.positions.push(position));
    }
    Ok(statuses.into_values().collect())
}

/// Returns how long ago a process of the consumer noted that it runs.
pub(crate) async fn last_seen(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
) -> Result<Option<Duration>, Error> {
    let select = sqlx::query_scalar(schema.sql(LAST_SEEN)).bind(consumer);
    let micros: Option<i64> = select.fetch_one(connection).await.map_err(from_sqlx)?;
    Ok(micros.map(age))
}

fn status_of(row: &PgRow) -> Result<ConsumerStatus, Error> {
    let row = PgColumns::of(row);
    let marked_at = row.get("marked_at")?;
    Ok(ConsumerStatus {
        consumer: row.get("consumer")?,
        newest_marker_at: marked_at,
        last_activity_at: marked_at.max(row.get("noted_at")?),
        dedup_window: row.get::<Option<i64>>("seconds")?.and_then(window),
        positions: Vec::new(),
        failed_messages: Vec::new(),
        blocked_keys: row.get("blocked_keys")?,
        retries_due: row.get("retries_due")?,
        oldest_failed_at: row.get("oldest_failed_at")?,
        unhandled: Vec::new(),
    })
}
