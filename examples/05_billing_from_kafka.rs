//! MESSAGEKIT_DATABASE_URL=postgres://… MESSAGEKIT_KAFKA=… cargo run -q -p messagekit-examples --bin 05-billing-from-kafka
//!
//! An order that Kafka delivers twice is billed once: the bill and the processed marker share a transaction, and the second
//! delivery finds the marker. The example publishes the order itself. In a system it comes from an outbox through Debezium,
//! in the same form. Each run has its own topic and consumer and leaves them. To start services for it:
//!
//! ```sh
//! cargo xtask stack up --services postgres,kafka
//! export $(cargo xtask stack env)
//! export MESSAGEKIT_DATABASE_URL="$MESSAGEKIT_TEST_POSTGRES_URL" MESSAGEKIT_KAFKA="$MESSAGEKIT_TEST_KAFKA"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Consumer, Envelope, Event, HandlerError, MessageId, Shutdown, Store, chain};
use messagekit_kafka::Kafka;
use messagekit_postgres::{PgTx, PostgresStore, migrations};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "example.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

/// Handles an order: its effects, the processed marker and any events it adds are one transaction.
async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO example_bills VALUES ($1, $2)")
        .bind(&order.data.order_id)
        .bind(order.data.pence)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("05-billing-from-kafka: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (url, brokers) = services()?;
    // This does the same as `messagekit migrate`. In production, run the command instead.
    migrations::migrate(&url).await?;
    let store = PostgresStore::connect(&url).await?;
    let mut tx = store.begin().await?;
    // No unique order_id: if the order were billed twice, two bills would show it.
    let table = "CREATE TABLE IF NOT EXISTS example_bills (order_id text NOT NULL, pence bigint NOT NULL)";
    sqlx::query(table).execute(&mut *tx).await?;
    store.commit(tx).await?;

    // One order, published twice, as after a lost answer to the first attempt.
    let run = MessageId::new();
    // A person waits for this run: report a missing broker sooner than after half a minute.
    let kafka = Kafka::new(brokers).set("delivery.timeout.ms", "10000")?;
    let order_id = format!("lamp-{run}");
    let placed = Envelope::new(OrderPlaced { order_id: order_id.clone(), pence: 1_250 });
    let mut message = codec::encode(&placed, "order-service")?;
    message.topic = format!("{run}.{}", OrderPlaced::TOPIC).into();
    let publisher = kafka.publisher()?;
    for published in publisher.publish(&[message.clone(), message.clone()]).await {
        published?;
    }
    println!("published: 2 records, one order");

    let shutdown = Shutdown::on_signal()?;
    let billing = Consumer::builder(format!("example-billing-{run}"), store.clone())
        .from(kafka.topics([message.topic]))
        .on(bill)
        .build()?;
    let stats = billing.stats();
    let running = tokio::spawn(billing.run(shutdown.clone()));
    while stats.read().handled + stats.read().duplicates < 2 && !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shutdown.request();
    running.await??;
    println!("duplicates suppressed: {}", stats.read().duplicates);

    let mut tx = store.begin().await?;
    let (bills, pence): (i64, i64) =
        sqlx::query_as("SELECT count(*), sum(pence)::bigint FROM example_bills WHERE order_id = $1")
            .bind(&order_id)
            .fetch_one(&mut *tx)
            .await?;
    store.rollback(tx).await?;
    println!("{bills} bill of {pence} pence");
    Ok(())
}

fn services() -> Result<(String, String), String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("MESSAGEKIT_DATABASE_URL").zip(variable("MESSAGEKIT_KAFKA")).ok_or_else(|| {
        "MESSAGEKIT_DATABASE_URL and MESSAGEKIT_KAFKA are not both set; for services to try it on: \
         cargo xtask stack up --services postgres,kafka; export $(cargo xtask stack env); \
         export MESSAGEKIT_DATABASE_URL=\"$MESSAGEKIT_TEST_POSTGRES_URL\" MESSAGEKIT_KAFKA=\"$MESSAGEKIT_TEST_KAFKA\""
            .to_owned()
    })
}
