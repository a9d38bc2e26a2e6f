//! Consumes through the engine: claim, one effect, settle.

use messagekit::{Consumer, Envelope, HandlerError, Message, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};

use super::fixture::{judge_effects, open};
use super::run::{Ran, Run};
use crate::events::{Made, TOPIC, messages, publish};
use crate::frame::{Outcome, pace};

/// The effect of every consume cell.
pub(super) const EFFECT: &str = "INSERT INTO effects (event_id, account) VALUES (?1, ?2)";

async fn apply(tx: &mut SqliteTx, event: Envelope<Made>) -> Result<(), HandlerError> {
    tx.call(move |c| c.prepare_cached(EFFECT)?.execute((event.event_id.as_str(), &event.data.account)))
        .await?;
    Ok(())
}

/// Fills a topic, then measures a consumer over it.
pub(super) async fn engine(run: Run<'_>, one_by_one: bool) -> Outcome<Ran> {
    let store = fill(&run).await?;
    let rate = consume(store, run.events, one_by_one).await?;
    let ledger = judge_effects(&run)?;
    Ok(Ran { rate, ledger, group: None })
}

/// Consumes all events of a file, and returns the rate.
pub(super) async fn consume(store: SqliteStore, events: usize, one_by_one: bool) -> Outcome<f64> {
    let mut consumer = Consumer::builder("bench", store.clone()).from(store.topics([TOPIC])).on(apply);
    if one_by_one {
        consumer = consumer.one_by_one();
    }
    let consumer = consumer.build()?;
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    // The first batch opens connections and is recorded as a whole.
    let warm = if one_by_one { 0 } else { 400 };
    let rate = pace(events, warm, || stats.read().handled, || running.is_finished()).await?;
    shutdown.request();
    running.await??;
    store.close().await?;
    Ok(rate)
}

/// Creates a file with all records and a table for effects.
pub(super) async fn fill(run: &Run<'_>) -> Outcome<SqliteStore> {
    fill_with(run, &messages(run.events)?).await
}

/// Does the same with these records.
pub(super) async fn fill_with(run: &Run<'_>, messages: &[Message]) -> Outcome<SqliteStore> {
    let store = open(run).await?;
    let mut tx = store.begin().await?;
    tx.call(|c| c.execute_batch("CREATE TABLE effects (id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, account TEXT NOT NULL) STRICT"))
        .await?;
    store.commit(tx).await?;
    let publisher = store.publisher();
    for batch in messages.chunks(500) {
        publish(&publisher, batch).await?;
    }
    Ok(store)
}
