//! What consumers have passed over.

use messagekit::Error;
use messagekit::adapter::{MOST_UNHANDLED_TYPES, UnhandledType};
use messagekit::operations::{MISSPELT_FOUND, UNHANDLED_LIMIT, UNHANDLED_SHOWN, UnhandledMessages};
use sqlx::PgConnection;

use super::{micros, operator_row};
use crate::SchemaName;
use crate::error::from_sqlx;

/// Adds to the numbers of messages. Processes of a consumer lock its rows in one order. Of types that are new beyond the limit none
/// is added, so that it may be passed by what one process notes at once.
pub(crate) const NOTE_UNHANDLED: &str = "
INSERT INTO messagekit.unhandled_types AS u (consumer, topic, event_type, similar_to, messages)
SELECT $1, n.topic, n.event_type, ARRAY(SELECT jsonb_array_elements_text(n.similar_to)), n.messages
FROM unnest($2::text[], $3::text[], $4::jsonb[], $5::bigint[]) AS n (topic, event_type, similar_to, messages)
WHERE (SELECT count(*) FROM messagekit.unhandled_types k WHERE k.consumer = $1) < $6::bigint
  OR EXISTS (SELECT FROM messagekit.unhandled_types k
    WHERE k.consumer = $1 AND k.topic = n.topic COLLATE \"C\" AND k.event_type = n.event_type COLLATE \"C\")
ORDER BY n.topic COLLATE \"C\", n.event_type COLLATE \"C\"
ON CONFLICT (consumer, topic, event_type) DO UPDATE SET
  messages = u.messages + excluded.messages, similar_to = excluded.similar_to, last_at = clock_timestamp()";

/// Types of which no message has come for long make room for others.
pub(crate) const FORGET_UNHANDLED: &str = "
DELETE FROM messagekit.unhandled_types u
WHERE u.consumer = $1 AND u.last_at <= clock_timestamp() - $2 * interval '1 microsecond'";

/// The types of each consumer that may be misspelt, and then those with the most messages.
pub(crate) const UNHANDLED: &str = "
SELECT n.consumer, u.topic, u.event_type, u.similar_to AS similar, u.messages, u.first_at, u.last_at
FROM unnest($1::text[]) AS n (consumer) CROSS JOIN LATERAL (
  SELECT t.* FROM messagekit.unhandled_types t
  WHERE t.consumer = n.consumer AND t.last_at > clock_timestamp() - $2 * interval '1 microsecond'
  ORDER BY t.similar_to = '{}', t.messages DESC, t.topic, t.event_type LIMIT $3::bigint) u
ORDER BY n.consumer, u.similar_to = '{}', u.messages DESC, u.topic, u.event_type";

/// The types with the most messages that may be misspelt.
pub(crate) const MISSPELT: &str = "
SELECT u.consumer, u.topic, u.event_type, u.similar_to AS similar, u.messages, u.first_at, u.last_at FROM messagekit.unhandled_types u
WHERE u.similar_to <> '{}' AND u.last_at > clock_timestamp() - $1 * interval '1 microsecond'
ORDER BY u.messages DESC, u.consumer, u.topic, u.event_type LIMIT $2::bigint";

/// Adds to the numbers of messages that a consumer has passed over.
pub(crate) async fn note(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    types: &[UnhandledType],
) -> Result<(), Error> {
    let forget = sqlx::query(schema.sql(FORGET_UNHANDLED)).bind(consumer).bind(micros(UNHANDLED_SHOWN));
    forget.execute(&mut *connection).await.map_err(from_sqlx)?;
    let topics: Vec<&str> = types.iter().map(|noted| &*noted.topic).collect();
    let event_types: Vec<&str> = types.iter().map(|noted| &*noted.event_type).collect();
    let similar: Vec<serde_json::Value> = types.iter().map(|noted| noted.similar.as_slice().into()).collect();
    let messages: Vec<i64> =
        types.iter().map(|noted| i64::try_from(noted.messages).unwrap_or(i64::MAX)).collect();
    let note = sqlx::query(schema.sql(NOTE_UNHANDLED))
        .bind(consumer)
        .bind(topics)
        .bind(event_types)
        .bind(similar)
        .bind(messages)
        .bind(i64::from(MOST_UNHANDLED_TYPES));
    note.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Returns what each of the consumers has passed over, with its name.
pub(super) async fn of(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumers: &[String],
) -> Result<Vec<(String, UnhandledMessages)>, Error> {
    let select = sqlx::query(schema.sql(UNHANDLED)).persistent(false);
    let select = select.bind(consumers).bind(micros(UNHANDLED_SHOWN)).bind(i64::from(UNHANDLED_LIMIT));
    operator_row::list(connection, select).await
}

/// Returns what consumers have passed over and should perhaps have handled, with their names.
pub(crate) async fn misspelt(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Vec<(String, UnhandledMessages)>, Error> {
    let select = sqlx::query(schema.sql(MISSPELT)).persistent(false);
    let select = select.bind(micros(MISSPELT_FOUND)).bind(i64::from(UNHANDLED_LIMIT));
    operator_row::list(connection, select).await
}
