//! Consuming through the store: claim, one effect, commit.

use messagekit::memory::MemoryLog;
use messagekit::{Consumer, Envelope, HandlerError, Publisher};
use messagekit_benches::{Made, Outcome, TOPIC, drain, messages};
use messagekit_postgres::PgTx;

use crate::tables::{EFFECT, Tables};

/// Lanes of the consumer, each with a transaction of its own.
const PARTITIONS: usize = 4;

async fn apply(tx: &mut PgTx, event: Envelope<Made>) -> Result<(), HandlerError> {
    sqlx::query(EFFECT).bind(event.event_id.as_str()).bind(&event.data.account).execute(&mut **tx).await?;
    Ok(())
}

/// Measures a consumer over a full topic.
pub(crate) async fn engine(tables: &Tables, events: usize, one_by_one: bool) -> Outcome<f64> {
    tables.clear().await?;
    let log = fill(events).await?;
    let mut consumer = Consumer::builder("bench", tables.store.clone()).from(log.topics([TOPIC])).on(apply);
    if one_by_one {
        consumer = consumer.one_by_one();
    }
    let rate = drain(consumer.build()?, events).await?;
    check(tables, events).await?;
    Ok(rate)
}

/// Makes a topic with `events` records.
pub(crate) async fn fill(events: usize) -> Outcome<MemoryLog> {
    let log = MemoryLog::new(PARTITIONS);
    for batch in messages(events)?.chunks(500) {
        for published in log.publish(batch).await {
            published?;
        }
    }
    Ok(log)
}

/// Fails unless every event was applied once, and is remembered.
pub(crate) async fn check(tables: &Tables, events: usize) -> Outcome<()> {
    tables.check("effects", "event_id", events).await?;
    tables.check("messagekit.processed_messages", "message_id", events).await?;
    let offsets = "SELECT coalesce(sum(next), 0)::bigint FROM messagekit.consumer_offsets";
    let next: i64 = sqlx::query_scalar(offsets).fetch_one(tables.pool()).await?;
    if next == i64::try_from(events)? {
        return Ok(());
    }
    Err(format!("void: the offsets speak of {next} events instead of {events}").into())
}
