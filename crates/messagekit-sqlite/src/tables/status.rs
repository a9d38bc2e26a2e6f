//! Bounded counts of the outbox and of each consumer.

use std::time::Duration;

use messagekit::Error;
use messagekit::cleanup::NOTED_WITHIN;
use messagekit::operations::{COUNT_LIMIT, ConsumerStatus, FailedMessageState, StateCount, beyond_ids_of};
use rusqlite::{Connection, Result};

use super::cleanup::window;
use super::{age, micros, operator_row, timestamp, unhandled_types};
use crate::error::from_sqlite;

/// The most consumers of an answer, and the most positions of one.
const MOST_CONSUMERS: u32 = 500;
const MOST_POSITIONS: u32 = 1_000;

/// Consumers of which no more is known than where they read come after the others, as a name that was used once stays.
const CONSUMERS: &str = "
SELECT id, name FROM (
  SELECT c.id, c.name FROM messagekit_consumers c
  ORDER BY NOT (EXISTS (SELECT 1 FROM messagekit_processed_messages m WHERE m.consumer_id = c.id)
    OR EXISTS (SELECT 1 FROM messagekit_failed_messages d WHERE d.consumer_id = c.id)
    OR EXISTS (SELECT 1 FROM messagekit_consumer_windows w WHERE w.consumer_id = c.id)
    OR EXISTS (SELECT 1 FROM messagekit_consumer_offsets o WHERE o.consumer_id = c.id)), c.name
  LIMIT ?1) ORDER BY name";

/// The end of a topic of this file is known, the end of a broker's topic is not. Records behind are counted as in the view
/// `messagekit_system_topic_offsets`, also where the consumer has read nothing of a partition yet.
const POSITIONS: &str = "
SELECT t.name AS topic, p.partition, max(coalesce(c.next, 0), p.log_start) AS next,
  max(p.next_offset - max(coalesce(c.next, 0), p.log_start), 0) - coalesce((
    SELECT sum(max(json_extract(r.value, '$.to') - max(json_extract(r.value, '$.from'), p.log_start), 0))
    FROM messagekit_record_claims k JOIN json_each(k.ranges) r
    WHERE k.consumer_id = c.consumer_id AND k.tp_id = c.tp_id AND k.next = c.next
      AND json_extract(r.value, '$.state') = 'settled'), 0) AS behind
FROM (SELECT DISTINCT o.topic_id FROM messagekit_consumer_cursors b
    JOIN messagekit_topic_partitions o ON o.id = b.tp_id WHERE b.consumer_id = ?1) g
  JOIN messagekit_topics t ON t.id = g.topic_id JOIN messagekit_topic_partitions p ON p.topic_id = g.topic_id
  LEFT JOIN messagekit_consumer_cursors c ON c.consumer_id = ?1 AND c.tp_id = p.id
WHERE t.partitions > 0
UNION ALL
SELECT t.name, o.partition, min(o.next), NULL
FROM messagekit_consumer_offsets o JOIN messagekit_topics t ON t.id = o.topic_id
WHERE o.consumer_id = ?1 AND o.key_lane < 0x80000000 AND t.partitions = 0 AND t.name NOT GLOB 'dropped:[0-9]*'
GROUP BY t.name, o.partition
ORDER BY 1, 2 LIMIT ?2";

/// What an outbox has beside the events that have not left.
pub(crate) struct Counts {
    pub(crate) delayed: u64,
    pub(crate) rejected: u64,
    pub(crate) running_replays: u64,
}

fn capped(conn: &Connection, rows: &str, values: impl rusqlite::Params) -> Result<u64> {
    conn.prepare_cached(&format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT {COUNT_LIMIT})"))?
        .query_row(values, |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Counts the delayed and the rejected events, and the running replays.
pub(crate) fn outbox(conn: &Connection) -> Result<Counts> {
    Ok(Counts {
        delayed: capped(conn, "messagekit_outbox_delayed", [])?,
        rejected: capped(conn, "messagekit_outbox_rejected WHERE error IS NOT NULL", [])?,
        running_replays: capped(conn, "messagekit_replay_jobs WHERE state = 'running'", [])?,
    })
}

/// Returns what the file knows of each consumer, by name.
pub(crate) fn consumers(conn: &Connection, now: i64) -> std::result::Result<Vec<ConsumerStatus>, Error> {
    let names: Vec<(i64, String)> = conn
        .prepare_cached(CONSUMERS)
        .and_then(|mut select| {
            select.query_map([MOST_CONSUMERS], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .map_err(from_sqlite)?;
    let bound = beyond_ids_of(timestamp(now)?);
    names.into_iter().map(|(id, name)| of(conn, id, name, now, &bound)).collect()
}

/// Returns how long ago a process of the consumer noted that it runs.
pub(crate) fn last_seen(conn: &Connection, consumer: &str, now: i64) -> Result<Option<Duration>> {
    let noted: Option<i64> = conn
        .prepare_cached(
            "SELECT max(w.noted_at) FROM messagekit_consumer_windows w
             WHERE w.consumer_id = (SELECT c.id FROM messagekit_consumers c WHERE c.name = ?1)",
        )?
        .query_row([consumer], |row| row.get(0))?;
    Ok(noted.map(|noted| age(now, noted)))
}

fn of(
    conn: &Connection,
    id: i64,
    consumer: String,
    now: i64,
    bound: &str,
) -> std::result::Result<ConsumerStatus, Error> {
    let (marker, noted, seconds, oldest) = times(conn, id, bound).map_err(from_sqlite)?;
    let mut failed_messages = Vec::new();
    for state in FailedMessageState::ALL {
        let rows = "messagekit_failed_messages WHERE consumer_id = ?1 AND state = ?2";
        let count = capped(conn, rows, (id, state.as_str())).map_err(from_sqlite)?;
        failed_messages.extend((count > 0).then_some(StateCount { state, failed_messages: count }));
    }
    let due = "messagekit_failed_messages WHERE consumer_id = ?1 AND due <= ?2
        AND state IN ('retry_scheduled', 'retry_requested')";
    let keys = "(SELECT DISTINCT topic, key FROM messagekit_failed_messages INDEXED BY messagekit_failed_messages_key
        WHERE consumer_id = ?1 AND parked = 1 AND state NOT IN ('resolved', 'discarded'))";
    Ok(ConsumerStatus {
        newest_marker_at: marker.map(timestamp).transpose()?,
        last_activity_at: marker.max(noted).map(timestamp).transpose()?,
        dedup_window: seconds.and_then(window),
        positions: operator_row::list(conn, POSITIONS, (id, MOST_POSITIONS))?,
        failed_messages,
        blocked_keys: capped(conn, keys, [id]).map_err(from_sqlite)?,
        retries_due: capped(conn, due, (id, now)).map_err(from_sqlite)?,
        oldest_failed_at: oldest.map(timestamp).transpose()?,
        unhandled: unhandled_types::of(conn, id, now)?,
        consumer,
    })
}

type Times = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// Returns the times of the newest marker, which has the greatest id or the greatest below the bound, of the last window and its length,
/// and of the oldest open failed message.
fn times(conn: &Connection, id: i64, bound: &str) -> Result<Times> {
    conn.prepare_cached(
        "SELECT
           (SELECT max(at) FROM (
              SELECT * FROM (SELECT processed_at AS at FROM messagekit_processed_messages WHERE consumer_id = ?1
                ORDER BY message_id DESC LIMIT 1)
              UNION ALL SELECT * FROM (SELECT processed_at FROM messagekit_processed_messages
                WHERE consumer_id = ?1 AND message_id < ?3 ORDER BY message_id DESC LIMIT 1))),
           (SELECT max(noted_at) FROM messagekit_consumer_windows WHERE consumer_id = ?1),
           (SELECT max(seconds) FROM messagekit_consumer_windows WHERE consumer_id = ?1 AND noted_at > (
              SELECT max(noted_at) FROM messagekit_consumer_windows WHERE consumer_id = ?1) - ?2),
           (SELECT min(at) FROM (SELECT (SELECT d.set_aside_at FROM messagekit_failed_messages d
              WHERE d.consumer_id = ?1 AND d.state = s.value ORDER BY d.id LIMIT 1) AS at
            FROM json_each('[\"retry_scheduled\", \"blocked\", \"dead\", \"retry_requested\"]') s))",
    )?
    .query_row((id, micros(NOTED_WITHIN), bound), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })
}
