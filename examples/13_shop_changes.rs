//! MESSAGEKIT_DATABASE_URL=postgres://… cargo run -q -p messagekit-examples --bin 13-shop-changes
//!
//! An existing shop that knows nothing of messagekit: a table, and programs that write to it. Its orders become events in
//! the transactions that change them, and a worker handles each one, although another worker leaves in the middle. The example
//! needs no broker. It makes its table and topic anew in each run. To start a database for it:
//!
//! ```sh
//! cargo xtask stack up --services postgres
//! export $(cargo xtask stack env)
//! export MESSAGEKIT_DATABASE_URL="$MESSAGEKIT_TEST_POSTGRES_URL"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::ExitCode;

use messagekit::log::{Change, RowPayload};
use messagekit::{MessageId, Store, chain};
use messagekit_postgres::{PostgresStore, migrations};
use messagekit_topic_store::{Claimed, RecordClaimer, Which};
use messagekit_topics::Topics;
use serde_json::Value;
use sqlx::AssertSqlSafe;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("13-shop-changes: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let url = database_url()?;
    // This does the same as `messagekit migrate`. In production, run the command instead.
    migrations::migrate(&url).await?;
    let store = PostgresStore::connect(&url).await?;
    let run = MessageId::new().as_str().replace('-', "");
    let (table, topic) = (format!("shop_orders_{run}"), format!("shop.orders-{run}"));
    sql(&store, format!("CREATE TABLE {table} (id int PRIMARY KEY, customer text, pence int, status text)"))
        .await?;

    let topics = Topics::of(store.clone());
    topics.untyped(topic.as_str()).open().await?;
    topics
        .source(&table)
        .on(Change::Insert | Change::Update)
        .filter("OLD.status IS DISTINCT FROM 'paid' AND NEW.status = 'paid'")
        .payload(RowPayload::Diff)
        .add(topic.as_str())
        .await?;

    // The programs of the shop, as they were before.
    sql(&store, format!("INSERT INTO {table} VALUES (1, 'ada', 1250, 'open'), (2, 'bob', 900, 'paid'), (3, 'eve', 80, 'open')")).await?;
    sql(&store, format!("UPDATE {table} SET status = 'paid' WHERE id <> 3")).await?;
    let mut tx = store.begin().await?;
    let regretted = format!("UPDATE {table} SET status = 'paid' WHERE id = 3");
    sqlx::raw_sql(AssertSqlSafe(regretted)).execute(&mut *tx).await?;
    store.rollback(tx).await?;

    // A worker claims the events, and its process ends before it has handled them.
    let leaving = PostgresStore::connect(&url).await?;
    let worker = RecordClaimer::new(leaving.clone(), "shipping", topic.as_str());
    let Claimed::Records(claim) = worker.claim(100).await? else { return Err("no events".into()) };
    println!("one worker claims {} events and leaves", claim.records.len());
    leaving.close().await;

    // Events that were lost together come back one by one: one of them may have ended the process.
    let worker = RecordClaimer::new(store.clone(), "shipping", topic.as_str());
    while let Claimed::Records(claim) = worker.claim(100).await? {
        for record in &claim.records {
            ship(record.record.message.key.as_deref(), &record.record.message.payload)?;
        }
        worker.acknowledge(&claim, Which::All).await?;
    }

    topics.drop_source(&topic, &table).await?;
    sql(&store, format!("DROP TABLE {table}")).await?;
    println!(
        "left for shipping: {}",
        topics.untyped(topic.as_str()).open().await?.named("shipping").count().await?.new
    );
    store.close().await;
    Ok(())
}

fn ship(order: Option<&[u8]>, event: &[u8]) -> Result<(), Box<dyn Error>> {
    let order = String::from_utf8_lossy(order.unwrap_or_default());
    let event: Value = serde_json::from_slice(event)?;
    let change = event["eventType"].as_str().and_then(|name| name.rsplit('.').next()).unwrap_or("?");
    println!("order {order} {change}: {}", event.get("changes").unwrap_or(&event["row"]));
    Ok(())
}

async fn sql(store: &PostgresStore, statements: String) -> Result<(), Box<dyn Error>> {
    let mut tx = store.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *tx).await?;
    store.commit(tx).await?;
    Ok(())
}

fn database_url() -> Result<String, String> {
    let given = std::env::var("MESSAGEKIT_DATABASE_URL").ok().filter(|url| !url.is_empty());
    given.ok_or_else(|| {
        "MESSAGEKIT_DATABASE_URL is not set; for a database to try it on: cargo xtask stack up --services postgres; \
         export $(cargo xtask stack env); export MESSAGEKIT_DATABASE_URL=\"$MESSAGEKIT_TEST_POSTGRES_URL\""
            .to_owned()
    })
}
