//! The events of this file: the records of its topics that have an id and are not copies.

use std::sync::Arc;

use messagekit::operations::{
    ConsumerEvents, EventCursor, EventFilter, EventHead, ReplayCount, StoredEvent, out_of_range,
};
use messagekit::{Error, ErrorKind, MessageId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::{cleanup, micros_of, operator_row, read, timestamp};
use crate::error::from_sqlite;

/// Records `r` of partitions `p` of topics `t`: partitions first, because each is one range of records. There is no index
/// by time: it would slow every append, and operators search rarely.
pub(crate) const RECORDS: &str = "messagekit_topic_partitions p
     CROSS JOIN messagekit_topics t ON t.id = p.topic_id AND t.partitions > 0
     CROSS JOIN messagekit_topic_records r ON r.pos >= p.id << 40 AND r.pos < (p.id + 1) << 40";

/// The condition of a filter on [`RECORDS`].
pub(crate) struct Chosen {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Chosen {
    pub(crate) fn of(filter: &EventFilter) -> Self {
        let mut chosen = Self {
            sql: "r.event_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM messagekit_topic_copies c WHERE c.pos = r.pos)"
                .to_owned(),
            values: Vec::new(),
        };
        chosen.add("r.event_type = ?", filter.event_type.clone().map(Value::Text));
        chosen.add("t.name = ?", filter.topic.clone().map(Value::Text));
        chosen.add("r.key = ?", filter.key.clone().map(|key| Value::Blob(key.into_bytes())));
        chosen.add("r.created_at >= ?", filter.from.map(micros_of).map(Value::Integer));
        chosen.add("r.created_at <= ?", filter.to.map(micros_of).map(Value::Integer));
        chosen
    }

    fn add(&mut self, condition: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.sql.push_str(" AND ");
            self.sql.push_str(condition);
            self.values.push(value);
        }
    }
}

/// Returns events, oldest first.
pub(crate) fn list(
    conn: &Connection,
    filter: &EventFilter,
    after: Option<&EventCursor>,
    limit: u32,
) -> Result<Vec<EventHead>, Error> {
    let mut chosen = Chosen::of(filter);
    if let Some(after) = after {
        chosen.add("r.created_at >= ?", Some(Value::Integer(micros_of(after.created_at))));
        chosen.add("(r.created_at > ?", Some(Value::Integer(micros_of(after.created_at))));
        chosen.sql.push_str(" OR r.event_id > ?)");
        chosen.values.push(Value::Text(after.event_id.as_str().to_owned()));
    }
    chosen.values.push(Value::Integer(limit.into()));
    // SQLite knows the length of a payload without reading it.
    let heads = format!(
        "SELECT r.event_id, r.event_type, t.name AS topic, r.key, r.created_at, length(r.payload) AS payload_bytes,
           (SELECT count(*) FROM messagekit_topic_copies c WHERE c.original_pos = r.pos) AS copies
         FROM {RECORDS} WHERE {} ORDER BY r.created_at, r.event_id, r.pos LIMIT ?",
        chosen.sql
    );
    operator_row::list(conn, &heads, params_from_iter(chosen.values))
}

/// Returns the event at a position, or `None` when it is no longer kept.
pub(crate) fn at(conn: &Connection, position: i64) -> Result<Option<StoredEvent>, Error> {
    let known: Option<(Arc<str>, String, u32)> = conn
        .prepare_cached(
            "SELECT t.name, r.event_id, (SELECT count(*) FROM messagekit_topic_copies c WHERE c.original_pos = r.pos)
             FROM messagekit_topic_records r
             JOIN messagekit_topic_partitions p ON p.id = r.pos >> 40
             JOIN messagekit_topics t ON t.id = p.topic_id AND t.partitions > 0
             WHERE r.pos = ?1 AND r.event_id IS NOT NULL",
        )
        .and_then(|mut select| {
            select.query_row([position], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
        })
        .map_err(from_sqlite)?;
    let Some((topic, event_id, copies)) = known else { return Ok(None) };
    let stored = read::at(conn, &topic, position)?.ok_or_else(|| vanished(position))?;
    Ok(Some(StoredEvent {
        event_id: MessageId::from_stored(&event_id),
        copies,
        created_at: timestamp(stored.created_at)?,
        message: stored.message,
    }))
}

fn vanished(position: i64) -> Error {
    Error::new(ErrorKind::Corrupt, "record vanished between look and read").with("position", position)
}

/// Counts the events of a filter. For each consumer, also counts those with a marker, and those that it would set aside
/// because of their age.
pub(crate) fn count(conn: &Connection, filter: &EventFilter, now: i64) -> rusqlite::Result<ReplayCount> {
    let chosen = Chosen::of(filter);
    let events: u32 = conn
        .prepare_cached(&format!("SELECT count(*) FROM {RECORDS} WHERE {}", chosen.sql))?
        .query_row(params_from_iter(&chosen.values), |row| row.get(0))?;
    let skipped = format!(
        "SELECT n.name AS consumer, count(*) AS events FROM {RECORDS} CROSS JOIN messagekit_consumers n
         JOIN messagekit_processed_messages m ON m.consumer_id = n.id AND m.message_id = r.event_id
         WHERE {} GROUP BY n.name ORDER BY n.name",
        chosen.sql
    );
    let skipped_by = conn
        .prepare_cached(&skipped)?
        .query_map(params_from_iter(&chosen.values), |row| {
            Ok(ConsumerEvents { consumer: row.get(0)?, events: row.get::<_, u32>(1)?.into() })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut too_old_for = Vec::new();
    for (consumer, begin) in cleanup::begins(conn, now)? {
        let old: u32 = conn
            .prepare_cached(&format!(
                "SELECT count(*) FROM {RECORDS} WHERE r.created_at < {begin} AND {}",
                chosen.sql
            ))?
            .query_row(params_from_iter(&chosen.values), |row| row.get(0))?;
        too_old_for.extend((old > 0).then(|| ConsumerEvents { consumer, events: old.into() }));
    }
    Ok(ReplayCount { events: events.into(), skipped_by, too_old_for })
}

/// Refuses a range that begins before the oldest record that is kept.
pub(crate) fn check_range(conn: &Connection, filter: &EventFilter) -> Result<(), Error> {
    let Some(from) = filter.from else { return Ok(()) };
    // The first record of a partition is its oldest.
    let oldest: Option<i64> = conn
        .prepare_cached(
            "SELECT min((SELECT r.created_at FROM messagekit_topic_records r
                         WHERE r.pos >= p.id << 40 AND r.pos < (p.id + 1) << 40 ORDER BY r.pos LIMIT 1))
             FROM messagekit_topic_partitions p",
        )
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(from_sqlite)?;
    match oldest {
        Some(oldest) if micros_of(from) < oldest => Err(out_of_range(timestamp(oldest)?)),
        _ => Ok(()),
    }
}
