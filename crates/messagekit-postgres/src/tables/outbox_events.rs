//! All events of the outbox.

use std::sync::Arc;

use jiff_sqlx::Timestamp;
use messagekit::{Error, Message, headers};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// Delayed events come last.
pub(crate) const ALL: &str = "
SELECT e.topic, e.aggregate_id, e.payload, e.event_id, e.event_type, e.content_type, e.traceparent, e.headers::text, e.created_at
FROM messagekit.outbox_events e WHERE e.copy = 0
ORDER BY greatest(e.available_at - e.created_at, interval '0') > interval '1 second', e.seq";

/// Returns the events in the order in which they were written.
pub(crate) async fn all(connection: &mut PgConnection, schema: &SchemaName) -> Result<Vec<Message>, Error> {
    let rows = sqlx::query(schema.sql(ALL)).fetch_all(connection).await.map_err(from_sqlx)?;
    rows.iter().map(|row| message_of(row).map_err(from_sqlx)).collect()
}

/// Each column becomes the header of its name, as for a consumer.
fn message_of(row: &PgRow) -> sqlx::Result<Message> {
    let mut message =
        Message::new(row.try_get::<&str, _>(0).map(Arc::<str>::from)?, row.try_get::<Vec<u8>, _>(2)?);
    message.key = row.try_get::<Option<String>, _>(1)?.map(Into::into);
    let names = [
        headers::ID,
        headers::EVENT_TYPE,
        headers::CONTENT_TYPE,
        headers::TRACEPARENT,
        headers::FREE_HEADERS,
    ];
    for (column, name) in (3..).zip(names) {
        if let Some(value) = row.try_get::<Option<String>, _>(column)? {
            message.headers.set(name, value);
        }
    }
    let created_at = row.try_get::<Timestamp, _>(8)?.to_jiff();
    Ok(message.with_header(headers::CREATED_AT, format!("{created_at:.6}")))
}
