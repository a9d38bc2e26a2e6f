//! Writes complete failed messages.

use messagekit::adapter::{Failure, ReceivedMessage, SetAsideOutcome, headers_to_json, lost_marker};
use messagekit::operations::Origin;
use messagekit::{Error, headers};
use sqlx::{PgConnection, Row};

use super::failed_runs::{failed_in, failed_run, first_run};
use super::key_hash::key_hash;
use super::{after, clean, count};
use crate::SchemaName;
use crate::error::from_sqlx;

/// Writes marker and failed message in one round trip. Writes the failed message only with its marker. Replaces an
/// earlier one only when that is closed: retention has removed its marker, or a range is processed again.
pub(crate) const SET_ASIDE: &str = concat!(
    r#"
WITH marker AS (
  INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, generation)
  SELECT $1, $2, messagekit.day_of($2), 'held', $20 WHERE (
    SELECT true FROM messagekit.processed_messages q
    WHERE q.consumer = $1 AND q.message_id = $2 AND q.day = messagekit.day_of($2) AND (q.outcome <> 'done' OR q.generation >= $20)) IS NULL
  ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE
    SET outcome = excluded.outcome, generation = excluded.generation, earlier = p.generation, processed_at = now()
    WHERE p.outcome = 'done' AND p.generation < excluded.generation
  RETURNING 1),
failed_message AS (
  INSERT INTO messagekit.failed_messages AS d
    (consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, state, reason, attempts, due,
     event_type, headers, payload, kind, error, fingerprint, origin, return_to, generation, failed_runs)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, 'set_aside', $10, clock_timestamp() + $11 * interval '1 microsecond',
    $12, $13, $14, $15, $16, $17, $18, $19, $20,
    "#,
    first_run!("$10::int", "$16", "$21"),
    r#"
  FROM marker
  ON CONFLICT (consumer, message_id) DO UPDATE SET
    topic = excluded.topic, position_topic = excluded.position_topic, partition = excluded.partition,
    "offset" = excluded."offset", key = excluded.key, key_hash = excluded.key_hash, parked = false,
    state = excluded.state, reason = excluded.reason, attempts = excluded.attempts, crash_count = 0, alone = 0,
    due = excluded.due, running_since = NULL, token = d.token + 1, generation = excluded.generation,
    event_type = excluded.event_type, headers = excluded.headers, payload = excluded.payload,
    kind = excluded.kind, error = excluded.error,
    fingerprint = excluded.fingerprint, origin = excluded.origin, return_to = excluded.return_to,
    failed_runs = excluded.failed_runs, changed_at = clock_timestamp()
  WHERE d.state IN ('resolved', 'discarded') RETURNING 1)
SELECT (SELECT count(*) FROM marker), (SELECT count(*) FROM failed_message)"#
);

/// The redelivery target of a failed message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedeliveryTarget<'a> {
    pub(crate) origin: Origin,
    pub(crate) return_to: Option<&'a str>,
}

impl RedeliveryTarget<'_> {
    /// The consumer's own handler.
    pub(crate) const HANDLER: Self = Self { origin: Origin::Store, return_to: None };
}

/// The columns of a failed message's message.
pub(crate) struct Columns<'a> {
    pub(crate) id: &'a str,
    pub(crate) topic: &'a str,
    /// Set where it differs from the topic.
    pub(crate) position_topic: Option<&'a str>,
    pub(crate) partition: Option<i32>,
    pub(crate) offset: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    /// For look-ups only; a text column refuses NUL, and no type contains one.
    pub(crate) event_type: Option<&'a str>,
    pub(crate) headers: Vec<u8>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Columns<'a> {
    pub(crate) fn of(received: &'a ReceivedMessage) -> Result<Self, Error> {
        let message = &received.message;
        let headers = headers_to_json(&message.headers)?.into_bytes();
        let event_type =
            message.headers.text(headers::EVENT_TYPE).or_else(|| message.headers.text(headers::CE_TYPE));
        let position = received.position.as_ref();
        Ok(Self {
            id: received.id.as_str(),
            topic: &message.topic,
            position_topic: position
                .map(|position| &*position.topic)
                .filter(|topic| **topic != *message.topic),
            partition: position.map(|position| position.partition),
            offset: position.map(|position| position.offset),
            key: message.key.as_deref(),
            event_type: event_type.filter(|event_type| !event_type.contains('\0')),
            headers,
            payload: &message.payload,
        })
    }
}

/// Claims a message as held and stores it completely.
pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    received: &ReceivedMessage,
    failure: &Failure,
    way_back: RedeliveryTarget<'_>,
) -> Result<SetAsideOutcome, Error> {
    let columns = Columns::of(received)?;
    let (state, due_in) = after(failure);
    let row = sqlx::query(schema.sql(SET_ASIDE))
        .bind(consumer)
        .bind(columns.id)
        .bind(columns.topic)
        .bind(columns.position_topic)
        .bind(columns.partition)
        .bind(columns.offset)
        .bind(columns.key)
        .bind(columns.key.map(key_hash))
        .bind(state)
        .bind(count(failure.attempts))
        .bind(due_in)
        .bind(columns.event_type)
        .bind(columns.headers)
        .bind(columns.payload)
        .bind(failure.kind.as_str())
        .bind(clean(&failure.error))
        .bind(failure.fingerprint())
        .bind(way_back.origin.as_str())
        .bind(way_back.return_to)
        .bind(failure.generation)
        // A dead letter of a broker has failed elsewhere.
        .bind(failed_in(failure).filter(|_| way_back.origin == Origin::Store))
        .fetch_one(connection)
        .await
        .map_err(from_sqlx)?;
    let written = |index: usize| row.try_get::<i64, _>(index).map_err(from_sqlx);
    match (written(0)?, written(1)?) {
        (0, _) => Ok(SetAsideOutcome::AlreadySettled),
        (_, 1) => Ok(SetAsideOutcome::SetAside),
        _ => Err(lost_marker(&received.id)),
    }
}
