//! The raw limit: the store's statements by hand through sqlx, with nothing around them.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::try_join_all;
use messagekit::{Message, headers};
use messagekit_benches::{Outcome, TOPIC};
use sqlx::{PgConnection, PgPool};

use crate::consume::{check, fill};
use crate::tables::{EFFECT, Tables};

/// As many as the consumer takes unless told otherwise.
const BATCH: usize = 50;

const CLAIM: &str = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome)
    SELECT $1, id, 'done' FROM unnest($2::text[]) id ORDER BY id ON CONFLICT DO NOTHING RETURNING message_id";

const ADVANCE: &str = "INSERT INTO messagekit.consumer_offsets AS known (consumer, topic, partition, next) VALUES ($1, $2, $3, $4)
    ON CONFLICT (consumer, topic, partition, strand) DO UPDATE SET next = greatest(known.next, excluded.next)";

/// Writes an event into the outbox.
pub(crate) async fn insert_event(connection: &mut PgConnection, message: &Message) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO messagekit.outbox_events (event_id, topic, event_type, aggregate_id, payload, content_type)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(message.headers.text(headers::ID))
    .bind(&*message.topic)
    .bind(message.headers.text(headers::EVENT_TYPE))
    .bind(key(message)?)
    .bind(&*message.payload)
    .bind(message.headers.text(headers::CONTENT_TYPE))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes events of one topic and type into the outbox, in one statement.
pub(crate) async fn insert_events(connection: &mut PgConnection, messages: &[Message]) -> Outcome<()> {
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

/// Claims, applies and notes how far it came, [`BATCH`] events per commit and a task per partition. Nothing is decoded.
pub(crate) async fn consume(tables: &Tables, events: usize) -> Outcome<f64> {
    tables.clear().await?;
    let mut partitions: BTreeMap<i32, Vec<Message>> = BTreeMap::new();
    for record in fill(events).await?.records(TOPIC) {
        partitions.entry(record.place.partition).or_default().push(record.message);
    }
    let started = Instant::now();
    let tasks = partitions
        .into_iter()
        .map(|(partition, messages)| tokio::spawn(apply(tables.pool().clone(), partition, messages)));
    for task in try_join_all(tasks).await? {
        task?;
    }
    let seconds = started.elapsed().as_secs_f64();
    check(tables, events).await?;
    Ok(events as f64 / seconds)
}

async fn apply(pool: PgPool, partition: i32, messages: Vec<Message>) -> Outcome<()> {
    let mut next = 0_i64;
    for batch in messages.chunks(BATCH) {
        let ids: Vec<Option<&str>> = batch.iter().map(|message| message.headers.text(headers::ID)).collect();
        let mut tx = pool.begin().await?;
        let fresh = sqlx::query(CLAIM).bind("hand").bind(&ids).fetch_all(&mut *tx).await?;
        if fresh.len() != batch.len() {
            return Err("void: a message of an empty database was claimed before".into());
        }
        for (id, message) in ids.iter().zip(batch) {
            sqlx::query(EFFECT).bind(id).bind(key(message)?).execute(&mut *tx).await?;
        }
        next += i64::try_from(batch.len())?;
        sqlx::query(ADVANCE).bind("hand").bind(TOPIC).bind(partition).bind(next).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn key(message: &Message) -> Outcome<Option<&str>> {
    Ok(message.key.as_deref().map(std::str::from_utf8).transpose()?)
}
