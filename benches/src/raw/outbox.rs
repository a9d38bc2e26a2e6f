//! Rows of the outbox, written by hand through sqlx.

use messagekit::{Message, headers};
use sqlx::PgConnection;

use crate::frame::Outcome;

/// Writes events of one topic and type in one statement.
pub(crate) async fn insert(connection: &mut PgConnection, messages: &[Message]) -> Outcome<()> {
    let Some(first) = messages.first() else { return Ok(()) };
    let ids: Vec<Option<&str>> = messages.iter().map(|message| message.headers.text(headers::ID)).collect();
    let keys = messages.iter().map(key).collect::<Outcome<Vec<Option<&str>>>>()?;
    let payloads: Vec<&[u8]> = messages.iter().map(|message| &*message.payload).collect();
    sqlx::query(
        "INSERT INTO messagekit.outbox_events (event_id, topic, event_type, aggregate_id, payload, content_type)
         SELECT id, $1, $2, key, payload, $3 FROM unnest($4::text[], $5::text[], $6::bytea[]) AS event (id, key, payload)",
    )
    .bind(&*first.topic)
    .bind(first.headers.text(headers::EVENT_TYPE))
    .bind(first.headers.text(headers::CONTENT_TYPE))
    .bind(ids)
    .bind(keys)
    .bind(payloads)
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the key of a message as text.
pub(crate) fn key(message: &Message) -> Outcome<Option<&str>> {
    Ok(message.key.as_deref().map(std::str::from_utf8).transpose()?)
}
