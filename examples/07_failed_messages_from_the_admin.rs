//! MESSAGEKIT_DATABASE_URL=postgres://… MESSAGEKIT_KAFKA=… cargo run -q -p messagekit-examples --bin
//! 07-failed-messages-from-the-admin
//!
//! An operator handles a failed message over HTTP: finds it in a list, repairs the cause, and retries it. A second click
//! does nothing, and the order is billed once. This program serves the admin's routes itself; `messagekit admin` serves
//! the same ones. Each run has its own topic and consumer and leaves them. To start services for it:
//!
//! ```sh
//! cargo xtask stack up --services postgres,kafka
//! export $(cargo xtask stack env)
//! export MESSAGEKIT_DATABASE_URL="$MESSAGEKIT_TEST_POSTGRES_URL" MESSAGEKIT_KAFKA="$MESSAGEKIT_TEST_KAFKA"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Backoff, Consumer, Envelope, Event, HandlerError, MessageId, Shutdown, Store, chain};
use messagekit_admin::{Admin, Role, Token, Tokens};
use messagekit_kafka::Kafka;
use messagekit_postgres::{PgTx, PostgresStore, migrations};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "example.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    product: String,
    pence: i64,
}

async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let OrderPlaced { order_id, product, pence } = order.data;
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM example_products WHERE name = $1)")
        .bind(&product)
        .fetch_one(&mut **tx)
        .await?;
    if !known {
        return Err(HandlerError::retryable("the product is not in the catalogue"));
    }
    sqlx::query("INSERT INTO example_bills VALUES ($1, $2)")
        .bind(order_id)
        .bind(pence)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("07-failed-messages-from-the-admin: {}", chain(&*error));
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
    let tables = "CREATE TABLE IF NOT EXISTS example_products (name text PRIMARY KEY);
        CREATE TABLE IF NOT EXISTS example_bills (order_id text NOT NULL, pence bigint NOT NULL)";
    sqlx::raw_sql(tables).execute(&mut *tx).await?;
    store.commit(tx).await?;

    // An order of a product that is not in the table yet.
    let run = MessageId::new();
    let (order_id, product) = (format!("order-{run}"), format!("lamp-{run}"));
    let placed = OrderPlaced { order_id: order_id.clone(), product: product.clone(), pence: 1_250 };
    let mut message = codec::encode(&Envelope::new(placed), "order-service")?;
    message.topic = format!("{run}.{}", OrderPlaced::TOPIC).into();
    let kafka = Kafka::new(brokers).set("delivery.timeout.ms", "10000")?;
    for published in kafka.publisher()?.publish(std::slice::from_ref(&message)).await {
        published?;
    }
    let shutdown = Shutdown::on_signal()?;
    let name = format!("example-billing-{run}");
    let billing = Consumer::builder(&*name, store.clone())
        .from(kafka.topics([message.topic]))
        .on(bill)
        .attempts(NonZeroU32::new(3).expect("3 > 0"))
        .backoff(Backoff::fixed(Duration::from_millis(50)))
        .build()?;
    let billing = tokio::spawn(billing.run(shutdown.clone()));

    // The admin refuses requests without a token, and stores only the hash of a token.
    let token = Token::generate()?;
    let mut tokens = Tokens::new();
    tokens.add("ann", Role::Operator, token.hash())?;
    let admin = Admin::builder().database("shop", Arc::new(store.clone())).tokens(tokens).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let ann =
        Operator { address: format!("http://{}", listener.local_addr()?), token: token.secret().to_owned() };
    let stop = shutdown.clone();
    let admin = tokio::spawn(async move { admin.serve(listener, stop).await });

    // Find it, ...
    let dead = ann.failed_message(&name, "dead").await?;
    println!("dead after {} runs: {}", dead["attempts"], dead["error"]);
    // ... repair the cause, ...
    let mut tx = store.begin().await?;
    sqlx::query("INSERT INTO example_products VALUES ($1)").bind(&product).execute(&mut *tx).await?;
    store.commit(tx).await?;
    // ... and retry it with a double click.
    let retry = format!("/api/v1/dlq/{}/retry", dead["id"]);
    let (first, second) = (ann.post(&retry).await?, ann.post(&retry).await?);
    println!("first click: {}, second click: {}", first.0, second.0);
    let resolved = ann.failed_message(&name, "resolved").await?;
    println!("the failed message is {}", resolved["state"]);

    shutdown.request();
    billing.await??;
    admin.await??;
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

/// A client with a token, such as curl.
struct Operator {
    address: String,
    token: String,
}

impl Operator {
    /// Waits until the consumer's only failed message is in a state. It polls, as an operator would.
    async fn failed_message(&self, consumer: &str, state: &str) -> Result<Value, Box<dyn Error>> {
        let path = format!("/api/v1/dlq?consumer={consumer}&state={state}");
        loop {
            let request = ureq::get(format!("{}{path}", self.address));
            let request = request.header("authorization", format!("Bearer {}", self.token));
            let answer = tokio::task::spawn_blocking(move || request.call()?.body_mut().read_json::<Value>());
            if let Some(failed_message) = answer.await??["failed_messages"].get(0) {
                return Ok(failed_message.clone());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Performs an action, and returns the status and the body. Status 409 says that another operator was first.
    async fn post(&self, path: &str) -> Result<(u16, Value), Box<dyn Error>> {
        let request =
            ureq::post(format!("{}{path}", self.address)).config().http_status_as_error(false).build();
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let answer = tokio::task::spawn_blocking(move || {
            let mut answer = request.send_empty()?;
            Ok::<_, ureq::Error>((answer.status().as_u16(), answer.body_mut().read_json()?))
        });
        Ok(answer.await??)
    }
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
