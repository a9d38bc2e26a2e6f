//! Writing: begin, a business row, its events, commit; through the outbox and by hand in turn.

use std::time::{Duration, Instant};

use messagekit::{Message, Outbox, Store};
use messagekit_benches::{Made, Outcome, events, messages};
use messagekit_postgres::PostgresStore;
use sqlx::PgPool;

use crate::hand;
use crate::tables::{ORDER, Tables};

/// The number of an event, which nothing but its writer knows.
const NUMBER: &str = "convert_from(payload, 'UTF8')::json ->> 'number'";

/// Medians, in microseconds per transaction.
pub(crate) struct Added {
    pub(crate) outbox: f64,
    pub(crate) hand: f64,
}

/// Runs as many transactions of either kind, each with a business row and `each` events. By hand, the events were encoded
/// before.
pub(crate) async fn compare(tables: &Tables, transactions: usize, each: usize) -> Outcome<Added> {
    tables.clear().await?;
    let outbox = Outbox::new(tables.store.clone(), "bench");
    let events: Vec<Made> = events(2 * transactions * each).collect();
    let messages = messages(events.len())?;
    let (mut through, mut by_hand) = (Vec::new(), Vec::new());
    for (number, (events, messages)) in (0..).zip(events.chunks(each).zip(messages.chunks(each))) {
        // Either kind follows itself as often as it follows the other.
        if matches!(number % 4, 0 | 3) {
            through.push(through_outbox(&outbox, number, events.to_vec()).await?);
        } else {
            by_hand.push(through_sqlx(tables.pool(), number, messages).await?);
        }
    }
    tables.check("orders", "number", 2 * transactions).await?;
    tables.check("messagekit.outbox_events", NUMBER, events.len()).await?;
    Ok(Added { outbox: median(through), hand: median(by_hand) })
}

async fn through_outbox(
    outbox: &Outbox<PostgresStore>,
    number: i64,
    mut events: Vec<Made>,
) -> Outcome<Duration> {
    let started = Instant::now();
    let mut tx = outbox.store().begin().await?;
    sqlx::query(ORDER).bind(number).bind("account").execute(&mut *tx).await?;
    match events.pop() {
        Some(event) if events.is_empty() => drop(outbox.add(&mut tx, event).await?),
        last => drop(outbox.add_all(&mut tx, events.into_iter().chain(last)).await?),
    }
    outbox.commit(tx).await?;
    Ok(started.elapsed())
}

async fn through_sqlx(pool: &PgPool, number: i64, messages: &[Message]) -> Outcome<Duration> {
    let started = Instant::now();
    let mut tx = pool.begin().await?;
    sqlx::query(ORDER).bind(number).bind("account").execute(&mut *tx).await?;
    match messages {
        [message] => hand::insert_event(&mut tx, message).await?,
        messages => hand::insert_events(&mut tx, messages).await?,
    }
    tx.commit().await?;
    Ok(started.elapsed())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}
