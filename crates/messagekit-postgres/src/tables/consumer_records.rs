//! Records of topics, as one consumer sees them.

use std::collections::HashMap;

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit_topic_store::{ClaimWindow, RecordCounts, RecordPage, RecordQuery, RecordStatus, TopicRecord};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::topic_records::{columns, record};
use super::topics::Topic;
use crate::SchemaName;
use crate::error::from_sqlx;

/// How many records one statement reads while it looks for records of a status, after a first page did not have enough of them.
const LOOK_AT: usize = 1_000;

/// The marker `m` of a record `r` for the consumer `$1`, and what it says: 0 new, 1 handled, 2 dead. An open failed message that is not
/// dead is still to be handled. Limited, so that it is looked up for each record, whatever the tables hold.
macro_rules! marker {
    () => {
        "
  LEFT JOIN LATERAL (
    SELECT m.outcome, m.processed_at, CASE m.outcome WHEN 'done' THEN 1 WHEN 'discarded' THEN 2 ELSE (
      SELECT CASE f.state WHEN 'dead' THEN 2 ELSE 0 END FROM messagekit.failed_messages f
      WHERE f.consumer = (SELECT $1) AND f.message_id = r.event_id) END AS status
    FROM messagekit.processed_messages m
    WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id) LIMIT 1) m ON true"
    };
}

/// The partitions of a topic with a consumer's windows, the id of the first record behind each settled prefix, how many records retention
/// has deleted before the consumer had handled them, whether it has handled any behind them, and the number of the partition.
pub(crate) const WINDOWS: &str = r#"
SELECT p.id, p.log_start, p.next_offset, c.next, c.ranges, f.id, coalesce(c.expired, 0), coalesce(c.next < p.log_start AND c.expired > 0, false),
  p.partition
FROM messagekit.topic_partitions p
  LEFT JOIN LATERAL (
    SELECT * FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c ON true
  LEFT JOIN LATERAL (
    SELECT r.id FROM messagekit.topic_records r
    WHERE r.tp_id = p.id AND r."offset" >= greatest(p.log_start, coalesce(c.next, 0)) ORDER BY r."offset" LIMIT 1) f ON true
WHERE p.topic_id = $2"#;

/// The next records of a topic by their ids, with what a consumer's markers say.
pub(crate) const NEXT: &str = concat!(
    r#"
SELECT r.id, r.tp_id, r."offset", m.status, m.processed_at, coalesce(m.outcome = 'held', false)
FROM (
  SELECT n.id, n.tp_id, n."offset", n.event_id FROM messagekit.topic_records n
  WHERE n.topic_id = $2 AND n.id > $3 ORDER BY n.id LIMIT $4) r"#,
    marker!(),
    "
ORDER BY r.id"
);

/// The records of some ids.
pub(crate) const RECORDS: &str = concat!(
    "
SELECT ",
    columns!(),
    ", r.id
FROM messagekit.topic_records r JOIN messagekit.topic_partitions p ON p.id = r.tp_id
WHERE r.topic_id = $1 AND r.id = ANY ($2::bigint[]) ORDER BY r.id"
);

/// The records in parts of partitions, by whether the parts are settled and by what a consumer's markers say.
pub(crate) const COUNT_RECORDS: &str = concat!(
    r#"
SELECT w.is_settled, m.status, count(*)
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::boolean[]) w (tp_id, first, behind, is_settled)
  CROSS JOIN LATERAL (
    SELECT r.event_id FROM messagekit.topic_records r
    WHERE r.tp_id = w.tp_id AND r."offset" >= w.first AND r."offset" < w.behind OFFSET 0) r"#,
    marker!(),
    "
GROUP BY w.is_settled, m.status"
);

/// A consumer in the partitions of a topic.
#[derive(Default)]
struct Windows {
    /// Of each partition, the window and the end.
    of: HashMap<i32, (ClaimWindow, i64)>,
    all: u64,
    /// The id of the first record behind the settled prefixes.
    first: Option<i64>,
    expired: u64,
    overtaken: Option<u64>,
    /// The end of each partition.
    ends: Vec<(i32, i64)>,
}

impl Windows {
    async fn read(
        connection: &mut PgConnection,
        schema: &SchemaName,
        topic: &Topic,
        consumer: &str,
    ) -> Result<Self, Error> {
        let read = sqlx::query(schema.sql(WINDOWS)).bind(consumer).bind(topic.id);
        let mut windows = Self::default();
        for row in read.fetch_all(connection).await.map_err(from_sqlx)? {
            windows.add(&row)?;
        }
        Ok(windows)
    }

    fn add(&mut self, row: &PgRow) -> Result<(), Error> {
        let number = |column: usize| row.try_get::<i64, _>(column).map_err(from_sqlx);
        let (log_start, end, expired) = (number(1)?, number(2)?, number(6)?.unsigned_abs());
        let next = row.try_get::<Option<i64>, _>(3).map_err(from_sqlx)?.unwrap_or(log_start);
        let window = match row.try_get::<Option<&str>, _>(4).map_err(from_sqlx)? {
            Some(ranges) => ClaimWindow::decode(next, ranges)?,
            None => ClaimWindow::new(next),
        };
        self.of.insert(row.try_get(0).map_err(from_sqlx)?, (window, end));
        self.ends.push((row.try_get(8).map_err(from_sqlx)?, end));
        self.all += (end - log_start).unsigned_abs();
        self.first = self.first.into_iter().chain(row.try_get::<Option<i64>, _>(5).map_err(from_sqlx)?).min();
        self.expired += expired;
        if row.try_get(7).map_err(from_sqlx)? {
            self.overtaken = Some(self.overtaken.unwrap_or(0) + expired);
        }
        Ok(())
    }

    /// Returns how far the consumer is with the record of a row.
    fn seen(&self, row: &PgRow) -> Result<Seen, sqlx::Error> {
        let (tp, offset, marked): (i32, i64, Option<i32>) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let is_settled = self.of.get(&tp).is_some_and(|(window, _)| window.is_settled(offset));
        let status = RecordStatus::of(marked.map(status), is_settled);
        let handled_at = row.try_get::<Option<Timestamp>, _>(4)?.filter(|_| status == RecordStatus::Handled);
        let handled_at = handled_at.map(Timestamp::to_jiff);
        Ok(Seen { id: row.try_get(0)?, status, handled_at, is_failed: row.try_get(5)? })
    }
}

/// A record as one consumer sees it, without what it holds.
struct Seen {
    id: i64,
    status: RecordStatus,
    handled_at: Option<jiff::Timestamp>,
    is_failed: bool,
}

fn status(marked: i32) -> RecordStatus {
    match marked {
        0 => RecordStatus::New,
        1 => RecordStatus::Handled,
        _ => RecordStatus::Dead,
    }
}

/// Reads records of a topic in the order of their ids.
pub(crate) async fn query(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    query: &RecordQuery,
) -> Result<RecordPage, Error> {
    let mut windows = Windows::read(connection, schema, topic, &query.consumer).await?;
    let mut page = RecordPage { ends: std::mem::take(&mut windows.ends), ..RecordPage::default() };
    let mut after = query.after;
    if query.status == Some(RecordStatus::New) {
        page.overtaken = windows.overtaken;
        let Some(first) = windows.first else { return Ok(page) };
        after = after.max(first - 1);
    }
    let max = query.max as usize;
    let mut look = max;
    while page.records.len() < max {
        let next = sqlx::query(schema.sql(NEXT)).bind(&*query.consumer).bind(topic.id).bind(after);
        let next = next.bind(i64::try_from(look).unwrap_or(i64::MAX));
        let rows = next.fetch_all(&mut *connection).await.map_err(from_sqlx)?;
        let seen: Result<Vec<Seen>, sqlx::Error> = rows.iter().map(|row| windows.seen(row)).collect();
        let mut seen = seen.map_err(from_sqlx)?;
        after = seen.last().map_or(after, |last| last.id);
        seen.retain(|record| query.status.is_none_or(|wanted| wanted == record.status));
        seen.truncate(max - page.records.len());
        page.records.extend(read(connection, schema, topic, seen).await?);
        if rows.len() < look {
            break;
        }
        look = look.max(LOOK_AT);
    }
    Ok(page)
}

/// Reads those records that were not deleted since they were seen.
async fn read(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    seen: Vec<Seen>,
) -> Result<Vec<TopicRecord>, Error> {
    if seen.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = seen.iter().map(|record| record.id).collect();
    let records = sqlx::query(schema.sql(RECORDS)).bind(topic.id).bind(ids);
    let rows = records.fetch_all(connection).await.map_err(from_sqlx)?;
    let mut seen: HashMap<i64, Seen> = seen.into_iter().map(|record| (record.id, record)).collect();
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let record = record(&topic.definition.name, row).map_err(from_sqlx)?;
        if let Some(Seen { id, status, handled_at, is_failed }) =
            seen.remove(&row.try_get(11).map_err(from_sqlx)?)
        {
            found.push(TopicRecord { id, record, status, is_failed, handled_at });
        }
    }
    Ok(found)
}

/// Counts the records of a topic. It reads no record of a settled prefix.
pub(crate) async fn count(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    consumer: &str,
) -> Result<RecordCounts, Error> {
    let windows = Windows::read(connection, schema, topic, consumer).await?;
    let (all, expired) = (windows.all, windows.expired);
    let mut counts = RecordCounts { all, handled: all, expired, ..RecordCounts::default() };
    let (mut tps, mut from, mut behind, mut are_settled) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (tp, (window, end)) in &windows.of {
        counts.claim_ranges = counts.claim_ranges.max(window.count_ranges());
        for (offsets, is_settled) in window.parts(*end) {
            tps.push(*tp);
            from.push(offsets.start);
            behind.push(offsets.end);
            are_settled.push(is_settled);
        }
    }
    let count = sqlx::query(schema.sql(COUNT_RECORDS)).bind(consumer);
    let count = count.bind(tps).bind(from).bind(behind).bind(are_settled);
    for row in count.fetch_all(connection).await.map_err(from_sqlx)? {
        let columns = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (is_settled, marked, records): (bool, Option<i32>, i64) = columns().map_err(from_sqlx)?;
        counts.add(RecordStatus::of(marked.map(status), is_settled), records.unsigned_abs());
    }
    Ok(counts)
}
