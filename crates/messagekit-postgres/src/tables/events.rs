//! Events as rows of the outbox.

use std::time::Duration;

use messagekit::adapter::{EventLinks, WithoutRelay};
use messagekit::{Error, ErrorKind, Message, MessageId};
use sqlx::PgConnection;

use super::columns::Columns;
use super::micros;
use crate::SchemaName;
use crate::error::{from_sqlx, of};

/// One event: unnesting arrays of one element would cost half as much again.
macro_rules! write_one {
    () => {
        "
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, clock_timestamp() + $9::float8 * interval '1 microsecond')"
    };
}

macro_rules! write_all {
    ($available_at:expr) => {
        concat!(
            "
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
SELECT m.id, m.topic, m.type, m.key, m.payload, m.content_type, m.headers::jsonb, m.traceparent,
  ",
            $available_at,
            "
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[])
  WITH ORDINALITY AS m (id, topic, type, key, payload, content_type, headers, traceparent, number)
ORDER BY m.number"
        )
    };
}

macro_rules! always {
    () => {
        "clock_timestamp() + $9::float8 * interval '1 microsecond'"
    };
}

macro_rules! optional {
    () => {
        "CASE WHEN EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending')
    THEN clock_timestamp() + $9::float8 * interval '1 microsecond' END"
    };
}

/// Links of events that have any, in the statement that writes the events. A trigger removes those that a removed event of the
/// id has left behind. Another transaction that adds the id is none of their errors: the outbox alone says which ids exist.
macro_rules! links {
    () => {
        "
WITH linked AS (
  INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of)
  SELECT l.* FROM unnest($1::text[], $10::text[], $11::text[], $12::text[]) AS l (id, correlation_id, causation_id, replay_of)
  WHERE num_nonnulls(l.correlation_id, l.causation_id, l.replay_of) > 0 ON CONFLICT DO NOTHING)"
    };
}

pub(crate) const WRITE_ONE: &str = write_one!();

/// [`WRITE_ONE`] with links.
pub(crate) const WRITE_ONE_LINKED: &str = concat!(
    "
WITH linked AS (
  INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of) VALUES ($1, $10, $11, $12)
  ON CONFLICT DO NOTHING)",
    write_one!()
);

/// Any number of events; `seq` counts in their order.
pub(crate) const WRITE: &str = write_all!(always!());

/// [`WRITE`] with links.
pub(crate) const WRITE_LINKED: &str = concat!(links!(), write_all!(always!()));

/// As [`WRITE`], delayed only where a relay supports delays.
pub(crate) const WRITE_OPTIONAL: &str = write_all!(optional!());

/// [`WRITE_OPTIONAL`] with links.
pub(crate) const WRITE_OPTIONAL_LINKED: &str = concat!(links!(), write_all!(optional!()));

/// Writes events in order, in one statement, for immediate publication. Sends nothing when one of them breaks a rule.
pub(crate) async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    messages: &[Message],
) -> Result<(), Error> {
    match messages {
        [] => Ok(()),
        [message] => write_one(connection, schema, message, None).await,
        _ => write_all(connection, schema, ALL, messages, None).await,
    }
}

/// As `write`, for publication after a delay.
pub(crate) async fn write_after(
    connection: &mut PgConnection,
    schema: &SchemaName,
    messages: &[Message],
    delay: Duration,
    without_relay: WithoutRelay,
) -> Result<(), Error> {
    let delay = Some(micros(delay));
    match (messages, without_relay) {
        ([], _) => Ok(()),
        ([message], WithoutRelay::Refuse) => write_one(connection, schema, message, delay).await,
        (_, WithoutRelay::Refuse) => write_all(connection, schema, ALL, messages, delay).await,
        (_, WithoutRelay::SendAtOnce) => write_all(connection, schema, ALL_OPTIONAL, messages, delay).await,
    }
}

/// A statement, and the one for events of which some have links: those without cost nothing more.
type Statements = (&'static str, &'static str);

const ALL: Statements = (WRITE, WRITE_LINKED);
const ALL_OPTIONAL: Statements = (WRITE_OPTIONAL, WRITE_OPTIONAL_LINKED);

async fn write_one(
    connection: &mut PgConnection,
    schema: &SchemaName,
    message: &Message,
    delay: Option<f64>,
) -> Result<(), Error> {
    let columns = Columns::of(message)?;
    let is_alone = columns.links.is_empty();
    let mut write = sqlx::query(schema.sql(if is_alone { WRITE_ONE } else { WRITE_ONE_LINKED }))
        .bind(columns.event_id)
        .bind(&*message.topic)
        .bind(columns.event_type)
        .bind(columns.key)
        .bind(&*message.payload)
        .bind(columns.content_type)
        .bind(columns.free)
        .bind(columns.traceparent)
        .bind(delay);
    if !is_alone {
        let EventLinks { correlation_id, causation_id, replay_of } = &columns.links;
        write = write.bind(text(correlation_id)).bind(text(causation_id)).bind(text(replay_of));
    }
    let written = write.execute(connection).await;
    written.map_err(|error| refused(error).with("id", columns.event_id).with("topic", &message.topic))?;
    Ok(())
}

async fn write_all(
    connection: &mut PgConnection,
    schema: &SchemaName,
    (alone, linked): Statements,
    messages: &[Message],
    delay: Option<f64>,
) -> Result<(), Error> {
    let columns: Vec<Columns<'_>> = messages.iter().map(Columns::of).collect::<Result<_, _>>()?;
    let topics: Vec<&str> = messages.iter().map(|message| &*message.topic).collect();
    let payloads: Vec<&[u8]> = messages.iter().map(|message| &*message.payload).collect();
    let is_alone = columns.iter().all(|columns| columns.links.is_empty());
    let mut write = sqlx::query(schema.sql(if is_alone { alone } else { linked }))
        .bind(columns.iter().map(|columns| columns.event_id).collect::<Vec<_>>())
        .bind(topics)
        .bind(columns.iter().map(|columns| columns.event_type).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.key).collect::<Vec<_>>())
        .bind(payloads)
        .bind(columns.iter().map(|columns| columns.content_type).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.free).collect::<Vec<_>>())
        .bind(columns.iter().map(|columns| columns.traceparent).collect::<Vec<_>>())
        .bind(delay);
    if !is_alone {
        let ids = |id: fn(&EventLinks) -> &Option<MessageId>| {
            columns.iter().map(|columns| text(id(&columns.links))).collect::<Vec<_>>()
        };
        write = write
            .bind(ids(|links| &links.correlation_id))
            .bind(ids(|links| &links.causation_id))
            .bind(ids(|links| &links.replay_of));
    }
    write.execute(connection).await.map_err(refused)?;
    Ok(())
}

fn text(id: &Option<MessageId>) -> Option<&str> {
    id.as_ref().map(MessageId::as_str)
}

/// Names the rule of the table that a row broke.
fn refused(error: sqlx::Error) -> Error {
    let Some(answer) = of(&error) else { return from_sqlx(error) };
    let (kind, text) = match (answer.code(), answer.constraint()) {
        ("23505", _) => (
            ErrorKind::InvalidEvent,
            "outbox has an event of this id already: add each event once, or give the new one an id of its own",
        ),
        (_, Some("outbox_delay_needs_relay")) => (
            ErrorKind::InvalidConfiguration,
            "event is delayed, and this outbox has no relay to wait for that: run `messagekit migrate --relay`, or make the \
             outbox with `ignore_delays_without_relay` to publish such events at once",
        ),
        (_, Some("outbox_payload_size")) => (
            ErrorKind::TooLarge,
            "payload is over the outbox's limit of 900000 bytes: send a reference instead",
        ),
        (_, Some("outbox_beside_size")) => (
            ErrorKind::TooLarge,
            "key and headers are over the outbox's limit of 99500 bytes: put what is large into the payload",
        ),
        ("23514", _) => (ErrorKind::InvalidEvent, "event breaks a rule of the outbox"),
        ("22P05" | "22021", _) => (
            ErrorKind::InvalidEvent,
            "header `headers` holds the character NUL, which PostgreSQL refuses: leave it out",
        ),
        ("22P02", _) => (ErrorKind::InvalidEvent, "header `headers` is JSON that PostgreSQL cannot read"),
        _ => return from_sqlx(error),
    };
    Error::new(kind, text).caused_by(error)
}
