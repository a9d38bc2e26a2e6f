//! Consuming through the engine: claim, one effect, settle.

use std::path::Path;
use std::time::{Duration, Instant};

use messagekit::{Consumer, Envelope, HandlerError, Publisher, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};

use crate::Outcome;
use crate::fixture::{Made, TOPIC, check, database, messages};

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
    let consumer = consumer.build()?;
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let started = Instant::now();
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    while stats.read().handled < events as u64 && !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    shutdown.request();
    running.await??;
    store.close().await?;
    check(folder, "effects", "event_id", events)?;
    Ok(events as f64 / seconds)
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
