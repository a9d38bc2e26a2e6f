//! MESSAGEKIT_DATABASE_URL=postgres://… cargo run -q -p messagekit-examples --bin 04-orders-on-postgres
//!
//! A row and its event in one transaction of PostgreSQL: both exist, or neither. Debezium publishes the outbox: it reads
//! the database's log (`messagekit connector apply`). The example needs no broker. It leaves its tables and a few rows in
//! the database. To start a database for it:
//!
//! ```sh
//! cargo xtask stack up --services postgres
//! export $(cargo xtask stack env)
//! export MESSAGEKIT_DATABASE_URL="$MESSAGEKIT_TEST_POSTGRES_URL"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::ExitCode;

use messagekit::{Event, MessageId, Outbox, Store, chain};
use messagekit_postgres::{PostgresStore, migrations};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "example.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("04-orders-on-postgres: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let url = database_url()?;
    // This does the same as `messagekit migrate`. In production, run the command instead.
    migrations::migrate(&url).await?;
    let store = PostgresStore::connect(&url).await?;
    let outbox = Outbox::new(store.clone(), "order-service")?;

    let mut tx = store.begin().await?;
    let table =
        "CREATE TABLE IF NOT EXISTS example_orders (order_id text PRIMARY KEY, pence bigint NOT NULL)";
    sqlx::query(table).execute(&mut *tx).await?;
    store.commit(tx).await?;

    // Every run has its own orders and can be repeated.
    let run = MessageId::new();
    let (lamp, chair, desk) = (format!("lamp-{run}"), format!("chair-{run}"), format!("desk-{run}"));

    // A business row and its event, committed together. In a transaction that other code began, `add_on` takes its
    // connection, and checks that there is a transaction.
    let mut tx = store.begin().await?;
    sqlx::query("INSERT INTO example_orders VALUES ($1, 1250)").bind(&lamp).execute(&mut *tx).await?;
    outbox.add(&mut tx, OrderPlaced { order_id: lamp.clone(), pence: 1_250 }).await?;
    outbox.commit(tx).await?;
    println!("committed: {}", found(&store, &lamp).await?);

    // The same, rolled back: neither exists.
    let mut tx = store.begin().await?;
    sqlx::query("INSERT INTO example_orders VALUES ($1, 8000)").bind(&chair).execute(&mut *tx).await?;
    outbox.add(&mut tx, OrderPlaced { order_id: chair.clone(), pence: 8_000 }).await?;
    store.rollback(tx).await?;
    println!("rolled back: {}", found(&store, &chair).await?);

    // The same in plain SQL, as psql, a trigger or a service in another language writes it.
    let mut tx = store.begin().await?;
    sqlx::query("INSERT INTO example_orders VALUES ($1, 4900)").bind(&desk).execute(&mut *tx).await?;
    let publish = "SELECT messagekit.publish('example.order', $1::text, 'example.order.placed',
                                             jsonb_build_object('order_id', $1::text, 'pence', 4900))";
    sqlx::query(publish).bind(&desk).execute(&mut *tx).await?;
    store.commit(tx).await?;
    println!("by SQL alone: {}", found(&store, &desk).await?);
    Ok(())
}

/// Returns the rows of an order, read with plain SQL.
async fn found(store: &PostgresStore, order: &str) -> Result<String, Box<dyn Error>> {
    let mut tx = store.begin().await?;
    let (rows, events, topic): (i64, i64, Option<String>) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM example_orders WHERE order_id = $1), count(*), min(topic)
         FROM messagekit.outbox_events WHERE aggregate_id = $1",
    )
    .bind(order)
    .fetch_one(&mut *tx)
    .await?;
    store.rollback(tx).await?;
    Ok(match topic {
        Some(topic) => format!("{rows} row, {events} event for topic {topic}"),
        None => format!("{rows} rows, {events} events"),
    })
}

fn database_url() -> Result<String, String> {
    let given = std::env::var("MESSAGEKIT_DATABASE_URL").ok().filter(|url| !url.is_empty());
    given.ok_or_else(|| {
        "MESSAGEKIT_DATABASE_URL is not set; for a database to try it on: cargo xtask stack up --services postgres; \
         export $(cargo xtask stack env); export MESSAGEKIT_DATABASE_URL=\"$MESSAGEKIT_TEST_POSTGRES_URL\""
            .to_owned()
    })
}
