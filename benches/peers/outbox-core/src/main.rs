//! An outbox of outbox-core that is relayed to Kafka by outbox-kafka.
//!
//! Usage: peer-outbox-core fill|relay, with BENCH_DATABASE, BENCH_KAFKA and BENCH_TOPIC set.

use std::error::Error;
use std::sync::Arc;

use outbox_core::prelude::*;
use outbox_kafka::{KafkaKeyExtractable, KafkaTransport};
use outbox_postgres::{PostgresOutbox, PostgresWriter};
use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::watch;

const TOGETHER: usize = 100;

/// The payload as it is; outbox-core serializes it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Made {
    account: String,
    number: u64,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl KafkaKeyExtractable for Made {
    fn kafka_key(&self) -> Vec<u8> {
        self.account.clone().into_bytes()
    }
}

fn config() -> Arc<OutboxConfig<Made>> {
    let mut config = OutboxConfig::<Made>::default();
    config.batch_size = 1000;
    config.poll_interval_secs = 1;
    config.lock_timeout_mins = 1;
    config.idempotency_strategy = IdempotencyStrategy::None;
    Arc::new(config)
}

/// The tables of its migrations, by hand.
const TABLES: &str = "
CREATE TYPE status AS ENUM ('Pending', 'Processing', 'Sent');
CREATE TABLE outbox_events (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), idempotency_token text, event_type text NOT NULL,
  payload jsonb NOT NULL, status status NOT NULL DEFAULT 'Pending', created_at timestamptz NOT NULL DEFAULT now(),
  locked_until timestamptz NOT NULL DEFAULT '-infinity');
CREATE INDEX idx_outbox_processing_queue ON outbox_events (locked_until ASC, status) WHERE status IN ('Pending', 'Processing');
CREATE UNIQUE INDEX idx_outbox_idempotency ON outbox_events (idempotency_token);
CREATE FUNCTION notify_outbox_event() RETURNS trigger AS $$
BEGIN PERFORM pg_notify('outbox_event', 'ping'); RETURN new; END $$ LANGUAGE plpgsql;
CREATE TRIGGER outbox_events_notify_trigger AFTER INSERT OR UPDATE ON outbox_events
  FOR EACH ROW EXECUTE FUNCTION notify_outbox_event();";

async fn fill(pool: PgPool) -> Result<(), Box<dyn Error>> {
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    let source = "SELECT payload FROM bench_source ORDER BY number";
    let payloads: Vec<String> = sqlx::query_scalar(source).fetch_all(&pool).await?;
    let service = OutboxService::new(Arc::new(PostgresWriter), config());
    for payloads in payloads.chunks(TOGETHER) {
        let mut tx = pool.begin().await?;
        for payload in payloads {
            service.add_event("bench.event.made", serde_json::from_str(payload)?, None, &mut *tx).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

async fn relay(pool: PgPool) -> Result<(), Box<dyn Error>> {
    let mut kafka = ClientConfig::new();
    kafka.set("bootstrap.servers", std::env::var("BENCH_KAFKA")?).set("linger.ms", "0");
    let (_asked, shutdown) = watch::channel(false);
    let outbox = OutboxManagerBuilder::new()
        .storage(Arc::new(PostgresOutbox::new(pool, config())))
        .publisher(Arc::new(KafkaTransport::new(&std::env::var("BENCH_TOPIC")?, &kafka)?))
        .config(config())
        .shutdown_rx(shutdown)
        .build()?;
    Ok(outbox.run().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(&std::env::var("BENCH_DATABASE")?).await?;
    match std::env::args().nth(1).as_deref() {
        Some("fill") => fill(pool).await,
        Some("relay") => relay(pool).await,
        _ => Err("say fill or relay".into()),
    }
}
