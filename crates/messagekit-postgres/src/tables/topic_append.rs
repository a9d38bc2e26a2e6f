//! Appends records to topics of this database, with their offsets and ids.

use std::collections::HashMap;

use messagekit::adapter::EventLinks;
use messagekit::{Error, ErrorKind, MessageId};
use messagekit_topic_store::{AppendedRecord, NewRecord, OnDuplicate};
use sqlx::{PgConnection, Row};

use super::columns::Columns;
use super::next_offsets::NextOffsets;
use super::topics::{self, Topic};
use super::{events, retention, waiting};
use crate::SchemaName;
use crate::error::{from_sqlx, of};

/// The records that have the same dedup hashes.
pub(crate) const SAME: &str = "
SELECT m.number, (SELECT h.record_id FROM messagekit.topic_dedup_hashes h WHERE h.topic_id = m.topic_id AND h.hash = m.hash)
FROM unnest($1::int[], $2::text[]) WITH ORDINALITY m (topic_id, hash, number)";

/// The id that the next record has, unless one of another topic is faster.
pub(crate) const NEXT_ID: &str =
    "SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM messagekit.topic_record_ids";

/// Writes records with the next ids, their dedup hashes, and the ends of their partitions. The ids are drawn while the topics are held,
/// in the order of the rows.
pub(crate) const APPEND: &str = r#"
WITH added AS (
  INSERT INTO messagekit.topic_records
    (topic_id, tp_id, "offset", id, event_id, event_type, key, content_type, traceparent, headers, payload)
  SELECT m.topic_id, m.tp_id, m."offset", nextval('messagekit.topic_record_ids'), m.event_id, m.event_type, m.key, m.content_type,
    m.traceparent, m.headers::jsonb, m.payload
  FROM unnest($1::int[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bytea[]) m (topic_id, tp_id, "offset", event_id, event_type, key, content_type, traceparent, headers, payload)
  RETURNING topic_id, tp_id, "offset", id, octet_length(payload) + coalesce(octet_length(key), 0) AS bytes),
hashed AS (
  INSERT INTO messagekit.topic_dedup_hashes (topic_id, hash, record_id)
  SELECT a.topic_id, m.hash, a.id FROM unnest($2::int[], $3::bigint[], $11::text[]) m (tp_id, "offset", hash)
    JOIN added a ON a.tp_id = m.tp_id AND a."offset" = m."offset"
  WHERE m.hash IS NOT NULL),
longer AS (
  UPDATE messagekit.topic_partitions p SET next_offset = p.next_offset + s.count, bytes = p.bytes + s.bytes
  FROM (SELECT tp_id, count(*) AS count, sum(bytes) AS bytes FROM added GROUP BY tp_id) s WHERE p.id = s.tp_id)
SELECT tp_id, "offset", id FROM added"#;

/// The links of events that are not in the outbox.
pub(crate) const LINK: &str = "
INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of)
SELECT l.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS l (id, correlation_id, causation_id, replay_of)
ON CONFLICT DO NOTHING";

/// Says which event of the outbox has its offset already, for the trigger that gives events to topics.
pub(crate) const IS_APPENDED: &str = "SELECT set_config('messagekit_topics.appended', $1, true)";

/// Appends records in order, and returns what became of each. Under [`OnDuplicate::Refuse`] a duplicate is the last answer, and nothing
/// was written. Holds the topics until the transaction ends.
pub(crate) async fn append(
    connection: &mut PgConnection,
    schema: &SchemaName,
    records: &[NewRecord],
    on_duplicate: OnDuplicate,
) -> Result<Vec<AppendedRecord>, Error> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut topics = held(connection, schema, records).await?;
    let fates = fates(connection, schema, &topics, records).await?;
    if on_duplicate == OnDuplicate::Refuse
        && let Some(fate) = fates.iter().find(|fate| **fate != Fate::New)
    {
        let existing = match *fate {
            Fate::Stored(existing) => existing,
            Fate::Repeats(first) => would_be(connection, schema, first).await?,
            Fate::New => unreachable!("it is the record of a duplicate"),
        };
        return Ok(vec![AppendedRecord::Duplicate(existing)]);
    }
    let new: Vec<&NewRecord> = records
        .iter()
        .zip(&fates)
        .filter(|(_, fate)| **fate == Fate::New)
        .map(|(record, _)| record)
        .collect();
    let mut ids = write(connection, schema, &mut topics, &new).await?.into_iter();
    let mut outcomes: Vec<AppendedRecord> = Vec::with_capacity(records.len());
    for fate in fates {
        outcomes.push(match fate {
            Fate::New => AppendedRecord::Appended(ids.next().expect("each new record has an id")),
            Fate::Stored(existing) => AppendedRecord::Duplicate(existing),
            Fate::Repeats(first) => match outcomes[first] {
                AppendedRecord::Appended(id) | AppendedRecord::Duplicate(id) => AppendedRecord::Duplicate(id),
            },
        });
    }
    Ok(outcomes)
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    New,
    /// The topic has this record of the same hash.
    Stored(i64),
    /// The record at this index of the call has the same hash.
    Repeats(usize),
}

/// A topic that is held, with the next offsets of its partitions.
struct Held {
    topic: Topic,
    next: NextOffsets,
}

fn find<'a>(topics: &'a mut [Held], record: &NewRecord) -> &'a mut Held {
    let index = topics.iter().position(|held| held.topic.definition.name == record.message.topic);
    &mut topics[index.expect("each topic of a record was found")]
}

/// Checks the records, and holds their topics. What their writers have committed before gets its offsets first.
async fn held(
    connection: &mut PgConnection,
    schema: &SchemaName,
    records: &[NewRecord],
) -> Result<Vec<Held>, Error> {
    let mut names: Vec<&str> = records.iter().map(|record| &*record.message.topic).collect();
    names.sort_unstable();
    names.dedup();
    let topics = topics::find_all(connection, schema, &names).await?;
    if let Some(missing) =
        names.iter().find(|name| !topics.iter().any(|topic| *topic.definition.name == ***name))
    {
        return Err(topics::no_topic(missing));
    }
    let mut held = Vec::with_capacity(topics.len());
    for topic in topics {
        waiting::sequence(connection, schema, &topic).await?;
        let partitions = topics::hold_partitions(connection, schema, topic.id).await?;
        // Only now: a migration may have held the topic until its commit.
        let version = partitions.first().map_or(0, |partition| partition.version);
        let mut own = records.iter().filter(|record| record.message.topic == topic.definition.name);
        own.try_for_each(|record| record.check_topic(topic.definition.id, Some(version)))?;
        held.push(Held { topic, next: NextOffsets::new(partitions) });
    }
    Ok(held)
}

async fn fates(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topics: &[Held],
    records: &[NewRecord],
) -> Result<Vec<Fate>, Error> {
    let mut fates = vec![Fate::New; records.len()];
    if records.iter().all(|record| record.dedup_hash.is_none()) {
        return Ok(fates);
    }
    let id_of = |record: &NewRecord| {
        let held = topics.iter().find(|held| held.topic.definition.name == record.message.topic);
        held.map(|held| held.topic.id)
    };
    let same = sqlx::query(schema.sql(SAME))
        .bind(records.iter().map(id_of).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.dedup_hash.as_deref()).collect::<Vec<_>>());
    for row in same.fetch_all(connection).await.map_err(from_sqlx)? {
        let number: i64 = row.try_get(0).map_err(from_sqlx)?;
        let stored: Option<i64> = row.try_get(1).map_err(from_sqlx)?;
        let fate = usize::try_from(number - 1).ok().and_then(|index| fates.get_mut(index));
        if let (Some(fate), Some(stored)) = (fate, stored) {
            *fate = Fate::Stored(stored);
        }
    }
    let mut firsts = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        let Some(hash) = &record.dedup_hash else { continue };
        let first = *firsts.entry((&record.message.topic, hash)).or_insert(index);
        if first != index && fates[index] == Fate::New {
            fates[index] = Fate::Repeats(first);
        }
    }
    Ok(fates)
}

/// Returns the id that the record at an index would have had.
async fn would_be(connection: &mut PgConnection, schema: &SchemaName, index: usize) -> Result<i64, Error> {
    let next: i64 = sqlx::query_scalar(schema.sql(NEXT_ID)).fetch_one(connection).await.map_err(from_sqlx)?;
    Ok(next.saturating_add_unsigned(index as u64))
}

/// Writes new records, and returns their ids. Those of a published topic are events of the outbox, too.
async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topics: &mut [Held],
    new: &[&NewRecord],
) -> Result<Vec<i64>, Error> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let columns = new.iter().map(|record| Columns::of(&record.message)).collect::<Result<Vec<_>, _>>()?;
    let (mut topic_ids, mut places) = (Vec::new(), Vec::new());
    for record in new {
        let held = find(topics, record);
        places.push(held.next.take(record.message.key.as_deref()));
        topic_ids.push(held.topic.id);
    }
    let append = sqlx::query(schema.sql(APPEND))
        .bind(topic_ids)
        .bind(places.iter().map(|(tp, _)| *tp).collect::<Vec<_>>())
        .bind(places.iter().map(|(_, offset)| *offset).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.event_id).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.event_type).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.key).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.content_type).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.traceparent).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.free).collect::<Vec<_>>())
        .bind(new.iter().map(|record| &*record.message.payload).collect::<Vec<_>>())
        .bind(new.iter().map(|record| record.dedup_hash.as_deref()).collect::<Vec<_>>());
    let mut ids = HashMap::new();
    for row in append.fetch_all(&mut *connection).await.map_err(refused)? {
        let place: (i32, i64) = (row.try_get(0).map_err(from_sqlx)?, row.try_get(1).map_err(from_sqlx)?);
        ids.insert(place, row.try_get(2).map_err(from_sqlx)?);
    }
    let mut linked = Vec::new();
    for (record, columns) in new.iter().zip(&columns) {
        if find(topics, record).topic.is_published {
            publish(connection, schema, record, columns.event_id).await?;
        } else if !columns.links.is_empty() {
            linked.push(columns);
        }
    }
    if !linked.is_empty() {
        link(connection, schema, &linked).await?;
    }
    for held in topics {
        retention::expire_behind(connection, schema, &held.topic, &held.next).await?;
    }
    Ok(places.iter().filter_map(|place| ids.get(place).copied()).collect())
}

/// Adds an event to the outbox whose record is there already.
async fn publish(
    connection: &mut PgConnection,
    schema: &SchemaName,
    record: &NewRecord,
    id: &str,
) -> Result<(), Error> {
    sqlx::query(IS_APPENDED).bind(id).execute(&mut *connection).await.map_err(from_sqlx)?;
    events::write(connection, schema, std::slice::from_ref(&record.message)).await
}

/// Writes the links of events; those of an event in the outbox are written with it.
async fn link(
    connection: &mut PgConnection,
    schema: &SchemaName,
    linked: &[&Columns<'_>],
) -> Result<(), Error> {
    let ids = |id: fn(&EventLinks) -> &Option<MessageId>| {
        linked.iter().map(|columns| id(&columns.links).as_ref().map(MessageId::as_str)).collect::<Vec<_>>()
    };
    let link = sqlx::query(schema.sql(LINK))
        .bind(linked.iter().map(|columns| columns.event_id).collect::<Vec<_>>())
        .bind(ids(|links| &links.correlation_id))
        .bind(ids(|links| &links.causation_id))
        .bind(ids(|links| &links.replay_of));
    link.execute(connection).await.map_err(from_sqlx).map(drop)
}

/// Names the rule of the table that a record broke.
fn refused(error: sqlx::Error) -> Error {
    let (kind, text) = match of(&error).and_then(|answer| answer.constraint()) {
        Some("topic_record_payload_size") => {
            (ErrorKind::TooLarge, "payload is over the limit of a record: send a reference instead")
        }
        Some("topic_record_event_id_size" | "topic_record_headers_object") => {
            (ErrorKind::InvalidEvent, "record breaks a rule of its topic")
        }
        _ => return from_sqlx(error),
    };
    Error::new(kind, text).caused_by(error)
}
