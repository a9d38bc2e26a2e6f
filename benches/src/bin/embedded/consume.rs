//! Consuming through the engine: claim, one effect, settle.

use std::path::Path;

use messagekit::{Consumer, Envelope, HandlerError, Publisher, Store};
use messagekit_benches::{Made, Outcome, TOPIC, drain, messages};
use messagekit_sqlite::{SqliteStore, SqliteTx};

use crate::fixture::{check, database};

/// The effect of every consume cell.
pub(crate) const EFFECT: &str = "INSERT INTO effects (event_id, account) VALUES (?1, ?2)";

async fn apply(tx: &mut SqliteTx, event: Envelope<Made>) -> Result<(), HandlerError> {
    tx.call(move |c| c.prepare_cached(EFFECT)?.execute((event.event_id.as_str(), &event.data.account)))
        .await?;
    Ok(())
}

/// Fills a topic, then measures a consumer over it.
pub(crate) async fn engine(folder: &Path, events: usize, one_by_one: bool) -> Outcome<f64> {
    let store = fill(folder, events).await?;
    let mut consumer = Consumer::builder("bench", store.clone()).from(store.topics([TOPIC])).on(apply);
    if one_by_one {
        consumer = consumer.one_by_one();
    }
    let rate = drain(consumer.build()?, events).await?;
    store.close().await?;
    check(folder, "effects", "event_id", events)?;
    Ok(rate)
}

/// Makes a file with `events` records and a table for effects.
pub(crate) async fn fill(folder: &Path, events: usize) -> Outcome<SqliteStore> {
    let store = SqliteStore::open(database(folder)).await?;
    let mut tx = store.begin().await?;
    tx.call(|c| c.execute_batch("CREATE TABLE effects (id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, account TEXT NOT NULL) STRICT"))
        .await?;
    store.commit(tx).await?;
    let publisher = store.publisher();
    for batch in messages(events)?.chunks(500) {
        for published in publisher.publish(batch).await {
            published?;
        }
    }
    Ok(store)
}
