//! MESSAGEKIT_DATABASE_URL=postgres://… MESSAGEKIT_KAFKA=… cargo run -q -p messagekit-examples --bin 08-relay
//!
//! A service that publishes its own outbox, without Kafka Connect and replication slot. The relay wakes up with each commit
//! of its process, keeps the order of each key, and publishes a delayed event when it is due. It publishes to the topic
//! `example.order`, with a new key in each run. A broker that does not create topics automatically must have the topic. The
//! database must not have a Debezium connector on the same outbox. To start services for it:
//!
//! ```sh
//! cargo xtask stack up --services postgres,kafka
//! export $(cargo xtask stack env)
//! export MESSAGEKIT_DATABASE_URL="$MESSAGEKIT_TEST_POSTGRES_URL" MESSAGEKIT_KAFKA="$MESSAGEKIT_TEST_KAFKA"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use messagekit::relay::Relay;
use messagekit::{Event, MessageId, Outbox, Shutdown, Store, chain};
use messagekit_kafka::Kafka;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, migrations};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "example.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "example.order.reminded", key = "order_id")]
struct OrderReminded {
    order_id: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("08-relay: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (url, brokers) = services()?;
    // This does the same as `messagekit migrate --relay`. In production, run the command instead.
    migrations::migrate(&url).await?;
    to_relay(&url, &SchemaName::default(), Existing::Leave, Duration::from_secs(60)).await?;
    let store = PostgresStore::connect(&url).await?;

    // A person waits for this run: report a missing broker sooner than after half a minute.
    let kafka = Kafka::new(brokers).set("delivery.timeout.ms", "10000")?;
    let relay = Relay::builder("example-orders")
        .reader(Arc::new(store.clone()))
        .to(Arc::new(kafka.publisher()?))
        .build()?;
    let (stats, shutdown) = (relay.stats(), Shutdown::on_signal()?);
    let running = tokio::spawn(relay.run(shutdown.clone()));

    let outbox = Outbox::new(store.clone(), "order-service")?;
    let order_id = format!("lamp-{}", MessageId::new());
    let mut tx = store.begin().await?;
    outbox.add(&mut tx, OrderPlaced { order_id: order_id.clone(), pence: 1_250 }).await?;
    // The reminder is written with the order, and is published a second later.
    let reminder = OrderReminded { order_id: order_id.clone() };
    outbox.add_after(&mut tx, reminder, Duration::from_secs(1)).await?;
    outbox.commit(tx).await?;
    let mut tx = store.begin().await?;
    outbox.add(&mut tx, OrderPlaced { order_id, pence: 9_999 }).await?;
    store.rollback(tx).await?;

    for (events, what) in [(1, "the order, at once"), (2, "the reminder, when it was due")] {
        while stats.read().published < events && !running.is_finished() {
            if stats.read().rejected > 0 {
                return Err("the broker refuses the event: `messagekit outbox rejected list` says why".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("published: {what}");
    }
    shutdown.request();
    running.await??;
    println!("left to publish: {}", pending(&store).await?);
    Ok(())
}

async fn pending(store: &PostgresStore) -> Result<i64, Box<dyn Error>> {
    let count = "SELECT count(*) FROM messagekit.outbox_pending";
    Ok(sqlx::query_scalar(count).fetch_one(store.pool()).await?)
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
