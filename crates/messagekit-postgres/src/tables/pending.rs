//! Events that no broker has confirmed yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::TryStreamExt;
use jiff_sqlx::Timestamp;
use messagekit::relay::{Page, Pending, PendingId, ShardRead};
use messagekit::{Error, Headers, Message, headers};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::shards::number;
use crate::SchemaName;
use crate::error::from_sqlx;

/// The most bytes of payloads, keys and headers in one result.
const MOST_BYTES: i64 = 8 << 20;

/// The bytes of an event beside its columns: the names of its headers, and the time.
const OVERHEAD: i32 = 80;

/// The writers at one moment.
pub(crate) struct Look {
    /// Identifies one run of one server; `None` for a standby.
    pub(crate) server: Option<String>,
    /// The last position that was drawn.
    pub(crate) place: i64,
    /// The transactions that may hold an earlier position.
    pub(crate) writers: BTreeSet<String>,
}

/// Reads shards and their ready events in one snapshot: putting events back increments the epoch in the same transaction.
/// A row without a position is a shard of another relay.
///
/// The recursion needs one step from one topic of a shard to the next, however many events each has, so paused topics
/// cost nothing. Entries published since the oldest transaction began are still in the index. Each step therefore asks
/// for positions above the requested one, which the index answers without the rows. It does not do so while a topic is
/// paused, because many of its events may be below. No step runs in a shard beyond the limit. Payloads are read only
/// after their sizes have been added up. The payload of an event that alone exceeds a result is never read; the table
/// accepts no event of that size.
pub(crate) const PENDING: &str = "
WITH asked AS MATERIALIZED (
  SELECT w.number, w.shard, w.above, s.shard IS NOT NULL AS is_held
  FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS w (shard, epoch, above, number)
    LEFT JOIN messagekit.relay_shards s ON s.shard = w.shard AND s.epoch = w.epoch AND s.owner = $1
      AND (SELECT m.until FROM messagekit.relay_members m WHERE m.name = $1) > clock_timestamp()
  ORDER BY w.number),
found AS MATERIALIZED (
  SELECT a.number, p.*
  FROM asked a CROSS JOIN LATERAL (
    WITH RECURSIVE streams (topic) AS (
      (SELECT q.topic FROM messagekit.outbox_pending q
        WHERE q.shard = a.shard AND (q.seq > a.above OR cardinality($6::text[]) > 0) ORDER BY q.topic LIMIT 1)
      UNION ALL
      SELECT n.topic FROM streams s CROSS JOIN LATERAL (
        SELECT q.topic FROM messagekit.outbox_pending q
        WHERE q.shard = a.shard AND q.topic > s.topic AND (q.seq > a.above OR cardinality($6::text[]) > 0)
        ORDER BY q.topic LIMIT 1) n)
    SELECT r.* FROM streams t CROSS JOIN LATERAL (
      SELECT q.shard, q.seq, q.copy, q.key_hash, q.event_id, q.topic FROM messagekit.outbox_pending q
      WHERE q.shard = a.shard AND q.topic = t.topic AND q.seq > a.above
        AND q.seq NOT IN (SELECT x.seq FROM unnest($5::bigint[]) AS x (seq))
      ORDER BY q.seq LIMIT $7) r
    WHERE t.topic <> ALL ($6::text[])
    ORDER BY r.seq LIMIT $7) p
  WHERE a.is_held LIMIT $7),
sized AS (
  SELECT f.number, f.shard, f.seq, f.copy, f.key_hash, f.topic AS sent_to, f.event_id AS id, e.*, count(*) OVER () AS found,
    sum(e.bytes) OVER (ORDER BY f.number, f.seq) AS upto,
    row_number() OVER (ORDER BY f.number, f.seq) AS place
  FROM found f LEFT JOIN LATERAL (
    SELECT o.event_id, o.event_type, o.aggregate_id, o.payload, o.content_type, h.headers, o.traceparent, o.created_at,
      octet_length(o.payload) + coalesce(octet_length(o.aggregate_id), 0) + coalesce(octet_length(h.headers), 0)
        + octet_length(concat(o.event_id, o.event_type, o.content_type, o.traceparent)) + $9 AS bytes
    FROM messagekit.outbox_events o CROSS JOIN LATERAL (SELECT o.headers::text AS headers OFFSET 0) h
    WHERE o.event_id = f.event_id AND o.copy = f.copy AND messagekit.day_of(o.event_id) = messagekit.day_of(f.event_id) OFFSET 0) e ON true)
SELECT s.shard, s.seq, s.found, s.sent_to, s.id, s.aggregate_id, CASE WHEN s.bytes <= $8 THEN s.payload END, s.event_type,
  s.content_type, s.traceparent, CASE WHEN s.created_at >= '0001-01-01Z' AND s.created_at < '9999-12-30Z' THEN s.created_at END,
  CASE WHEN s.bytes <= $8 THEN s.headers END,
  s.key_hash IS NOT NULL AND (
    SELECT true FROM messagekit.outbox_rejected r
    WHERE r.topic = s.sent_to AND r.key_hash = s.key_hash AND r.seq < s.seq LIMIT 1) IS NOT NULL, s.copy, s.key_hash, s.bytes
FROM sized s WHERE s.place = 1 OR s.upto IS NULL OR s.upto <= $8
UNION ALL
SELECT a.shard, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, 0, NULL, NULL
FROM asked a WHERE NOT a.is_held";

/// The last position that was drawn, and an identity of this run of the server: its start time and the time of its last
/// crash recovery, which resets the statistics. The identity is null on a standby.
pub(crate) const LAST_PLACE: &str = "
SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('messagekit.outbox_events', 'seq')::regclass), 0),
  CASE WHEN NOT pg_is_in_recovery() THEN concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()),
    extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time())) END";

/// The open transactions that have written events, or are about to.
pub(crate) const WRITERS: &str = "
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'messagekit.outbox_events'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Deletes in order of position, like every other delete, so that no deadlock occurs. Each row is looked up by itself.
/// The planner expects few live rows in an index that is full of entries published beside a long transaction, and a join
/// would scan it.
pub(crate) const PUBLISHED: &str = "
DELETE FROM messagekit.outbox_pending p
USING unnest($1::smallint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[]) AS d (shard, seq, event_id, copy, topic)
  CROSS JOIN LATERAL (
    SELECT q.ctid AS at FROM messagekit.outbox_pending q
    WHERE q.shard = d.shard AND q.topic = d.topic AND q.seq = d.seq AND q.event_id = d.event_id AND q.copy = d.copy OFFSET 0) f
WHERE p.ctid = f.at";

/// Returns the ready events of the requested shards.
pub(crate) async fn pending(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
    wanted: &[ShardRead],
    except: &[i64],
    paused: &[Arc<str>],
    limit: u32,
) -> Result<Page, Error> {
    let limit = i64::from(limit.max(1));
    let paused: Vec<&str> = paused.iter().map(|topic| &**topic).collect();
    let find = sqlx::query(schema.sql(PENDING))
        .bind(name)
        .bind(wanted.iter().map(|wanted| number(wanted.lease.shard)).collect::<Vec<_>>())
        .bind(wanted.iter().map(|wanted| wanted.lease.epoch).collect::<Vec<_>>())
        .bind(wanted.iter().map(|wanted| wanted.above).collect::<Vec<_>>())
        .bind(except)
        .bind(paused)
        .bind(limit)
        .bind(MOST_BYTES)
        .bind(OVERHEAD);
    // One row at a time, so that the rows of a page and the events made of them are not all in memory at once.
    let mut rows = find.fetch(connection);
    let mut page = Page::default();
    let (mut found, mut of_all, mut topic) = (Vec::new(), 0, Arc::from(""));
    while let Some(row) = rows.try_next().await.map_err(from_sqlx)? {
        match found_of(&row, &mut topic).map_err(from_sqlx)? {
            (shard, None) => page.lost.push(shard),
            (_, Some(event)) => {
                of_all = row.try_get(2).map_err(from_sqlx)?;
                found.push(event);
            }
        }
    }
    page.more = of_all >= limit || usize::try_from(of_all).is_ok_and(|of_all| of_all > found.len());
    // The rows of a shard are together, in the order of the shards; the server guarantees neither.
    let order = |shard: u16| wanted.iter().position(|wanted| wanted.lease.shard == shard);
    let place = |found: &Found| (order(found.event.shard), found.event.seq);
    if !found.is_sorted_by_key(place) {
        found.sort_by_key(place);
    }
    hold_behind_unreadable(&mut found);
    page.rows = found.into_iter().map(|found| found.event).collect();
    Ok(page)
}

/// An event, readable or not, with the hash of its key.
struct Found {
    event: Pending,
    key_hash: Option<i64>,
}

/// Returns the shard of a row, and its event unless another relay owns the shard.
fn found_of(row: &PgRow, topic: &mut Arc<str>) -> sqlx::Result<(u16, Option<Found>)> {
    let shard = row.try_get::<i16, _>(0)?.cast_unsigned();
    let Some(seq) = row.try_get(1)? else { return Ok((shard, None)) };
    let (sent_to, id): (&str, &str) = (row.try_get(3)?, row.try_get(4)?);
    if **topic != *sent_to {
        *topic = Arc::from(sent_to);
    }
    let mut message = Message::new(Arc::clone(topic), Vec::new());
    message.headers.set(headers::ID, id.to_owned());
    let unreadable = fill(&mut message, row).err();
    let copy = row.try_get::<i32, _>(13)?.into();
    let event = Pending { shard, seq, copy, held: row.try_get(12)?, unreadable, message };
    Ok((shard, Some(Found { event, key_hash: row.try_get(14)? })))
}

/// Holds the events behind an unreadable event of the same topic and key: they are set aside together.
fn hold_behind_unreadable(found: &mut [Found]) {
    let mut stopped: Vec<(Arc<str>, i64)> = Vec::new();
    for Found { event, key_hash } in found {
        let Some(key_hash) = *key_hash else { continue };
        let topic = &event.message.topic;
        let is_of_it = |(other, hash): &(Arc<str>, i64)| *hash == key_hash && other == topic;
        event.held |= stopped.iter().any(is_of_it);
        if event.unreadable.is_some() {
            stopped.push((Arc::clone(topic), key_hash));
        }
    }
}

/// Fills a message as Debezium's connector writes it, or returns the reason why it cannot be read. Each column becomes
/// the header of its name, in the same order. A null column becomes no header, which readers treat like a header without
/// a value.
fn fill(message: &mut Message, row: &PgRow) -> Result<(), String> {
    let unread = |error: sqlx::Error| format!("event cannot be read: {error}");
    let Some(bytes) = row.try_get::<Option<i32>, _>(15).map_err(unread)? else {
        // A new row becomes pending by its insertion, so a retry would publish it twice.
        let text = "event is not in the outbox any more: discard it; to publish it, first insert its row again, with its seq";
        return Err(text.to_owned());
    };
    message.key = row.try_get::<Option<String>, _>(5).map_err(unread)?.map(Into::into);
    let Some(payload) = row.try_get::<Option<Vec<u8>>, _>(6).map_err(unread)? else {
        return Err(format!(
            "event of {bytes} bytes is over the 8 MiB of a read: make it smaller and retry, or discard it"
        ));
    };
    for (name, column) in [(headers::EVENT_TYPE, 7), (headers::CONTENT_TYPE, 8), (headers::TRACEPARENT, 9)] {
        set(&mut message.headers, name, row.try_get(column).map_err(unread)?);
    }
    let Some(created_at) = row.try_get::<Option<Timestamp>, _>(10).map_err(unread)? else {
        let text =
            "created_at is no time from year 1 to year 9999: correct it and retry, or discard the event";
        return Err(text.to_owned());
    };
    // Six digits, including trailing zeros, as Debezium writes it.
    message.headers.set(headers::CREATED_AT, format!("{:.6}", created_at.to_jiff()));
    set(&mut message.headers, headers::FREE_HEADERS, row.try_get(11).map_err(unread)?);
    message.payload = payload.into();
    Ok(())
}

/// Returns the last drawn position, read first, and the transactions that may hold an earlier one.
pub(crate) async fn writers(connection: &mut PgConnection, schema: &SchemaName) -> Result<Look, Error> {
    let last = sqlx::query_as(schema.sql(LAST_PLACE)).fetch_one(&mut *connection).await;
    let (place, server) = last.map_err(from_sqlx)?;
    let writers = sqlx::query_scalar(schema.sql(WRITERS)).fetch_all(connection).await;
    let writers: Vec<String> = writers.map_err(from_sqlx)?;
    Ok(Look { server, place, writers: writers.into_iter().collect() })
}

fn set(headers: &mut Headers, name: &str, value: Option<String>) {
    if let Some(value) = value {
        headers.set(name, value);
    }
}

/// Deletes published events from the list.
pub(crate) async fn published(
    connection: &mut PgConnection,
    schema: &SchemaName,
    rows: &[PendingId],
) -> Result<(), Error> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    let delete = sqlx::query(schema.sql(PUBLISHED))
        .bind(rows.iter().map(|row| number(row.shard)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.seq).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.event_id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.copy).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.topic).collect::<Vec<_>>());
    delete.execute(connection).await.map(drop).map_err(from_sqlx)
}
