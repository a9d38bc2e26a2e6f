//! One consumer, as `bench --member` runs it. It reads the environment variables of peers.

use std::future::IntoFuture;
use std::pin::pin;

use clap::ValueEnum;
use messagekit::{Consumer, Shutdown};
use messagekit_kafka::Kafka;
use messagekit_postgres::PostgresStore;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Headers};
use sqlx::PgPool;

use crate::cells::consume::{EFFECT, apply};
use crate::events::Made;
use crate::frame::Outcome;

/// The client library, each with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// A consumer of messagekit
    Ours,
    /// The same with an instance id
    Named,
    /// librdkafka alone
    Bare,
}

impl Client {
    /// Returns its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Named => "named",
            Self::Bare => "bare",
        }
    }

    /// Consumes until SIGTERM.
    pub(crate) async fn run(self) -> Outcome<()> {
        match self {
            Self::Ours => ours(None).await,
            Self::Named => ours(Some(told("BENCH_INSTANCE")?)).await,
            Self::Bare => bare().await,
        }
    }
}

fn told(variable: &str) -> Outcome<String> {
    Ok(std::env::var(variable).map_err(|error| format!("{variable}: {error}"))?)
}

async fn ours(instance: Option<String>) -> Outcome<()> {
    let store = PostgresStore::connect(&told("BENCH_DATABASE")?).await?;
    let mut source = Kafka::new(told("BENCH_KAFKA")?).topics([told("BENCH_TOPIC")?]);
    if let Some(instance) = instance {
        source = source.instance_id(instance);
    }
    let consumer = Consumer::builder(told("BENCH_GROUP")?, store).from(source).on(apply).build()?;
    Ok(consumer.run(Shutdown::on_signal()?).await?)
}

async fn bare() -> Outcome<()> {
    let pool = PgPool::connect(&told("BENCH_DATABASE")?).await?;
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", told("BENCH_KAFKA")?)
        .set("group.id", told("BENCH_GROUP")?)
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[&told("BENCH_TOPIC")?])?;
    let mut shutdown = pin!(Shutdown::on_signal()?.into_future());
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            // The client recovers from errors by itself.
            record = consumer.recv() => if let Ok(record) = record {
                apply_bare(&pool, &record).await?;
            },
        }
    }
}

/// Writes the seen marker and the effect in one transaction, as the peers do.
async fn apply_bare(pool: &PgPool, record: &BorrowedMessage<'_>) -> Outcome<()> {
    let headers = record.headers().ok_or("a record without headers")?;
    let id = headers.iter().find(|header| header.key == "id").and_then(|header| header.value);
    let id = std::str::from_utf8(id.ok_or("a record without an id")?)?;
    let made: Made = serde_json::from_slice(record.payload().unwrap_or_default())?;
    let mut tx = pool.begin().await?;
    let seen = sqlx::query("INSERT INTO seen (id) VALUES ($1) ON CONFLICT DO NOTHING").bind(id);
    if seen.execute(&mut *tx).await?.rows_affected() > 0 {
        let number = i64::try_from(made.number)?;
        sqlx::query(EFFECT).bind(made.account).bind(number).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}
