//! A member of a group, for tests that stop, freeze and kill it. It inserts a row for each record that it has handled, after
//! a while.
//!
//! Its settings are environment variables: `DATABASE`, `BROKERS`, `TOPIC`, `GROUP`, `NAME` and `SLOWEST` (milliseconds). With
//! `STATIC` it joins again under its name. `SESSION` (milliseconds) replaces the default. With `DROPS` it does not close on
//! SIGTERM, but drops everything.
#![allow(clippy::print_stdout, reason = "a program of the tests tells its reader that it has begun")]

use std::sync::Arc;
use std::time::Duration;

use messagekit::{Consumer, Envelope, HandlerError, OnFailure, Shutdown};
use messagekit_kafka::Kafka;
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_tests::StepTaken;

/// Handlers take far less time, however busy the machine.
const DEADLINE: Duration = Duration::from_secs(20);

struct Member {
    name: String,
    slowest: u64,
}

async fn note(member: &Member, tx: &mut PgTx, step: Envelope<StepTaken>) -> Result<(), HandlerError> {
    let position = step.delivery().and_then(|delivery| delivery.position.clone());
    let position = position.ok_or_else(|| HandlerError::permanent("no place"))?;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..=member.slowest))).await;
    sqlx::query("INSERT INTO applied (partition, place, member) VALUES ($1, $2, $3)")
        .bind(position.partition)
        .bind(position.offset)
        .bind(&member.name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn setting(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A test that fails shows what its members reported.
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let shutdown = Shutdown::on_signal()?;
    let name = setting("NAME")?;
    // A server that has no connection left at the moment ends no member.
    let store = PostgresStore::lazy(&setting("DATABASE")?)?;
    let mut kafka = Kafka::new(setting("BROKERS")?);
    if let Ok(session) = std::env::var("SESSION") {
        kafka = kafka
            .set("session.timeout.ms", session)?
            .set("heartbeat.interval.ms", "500")?
            .set("fetch.wait.max.ms", "50")?;
    }
    let mut steps = kafka.topics([setting("TOPIC")?]);
    if std::env::var("STATIC").is_ok() {
        steps = steps.instance_id(&name);
    }
    let member = Arc::new(Member { name, slowest: setting("SLOWEST")?.parse()? });
    let consumer = Consumer::builder(setting("GROUP")?, store)
        .from(steps)
        .on_with(member, note)
        .on_failure(OnFailure::ParkKey)
        // The database ends the transaction of a frozen member a moment after this deadline.
        .deadline(DEADLINE)
        .build()?;
    println!("ready");
    if std::env::var("DROPS").is_ok() {
        // Like a program that exits in the middle of its work.
        return tokio::select! {
            ended = consumer.run(Shutdown::new()) => Ok(ended?),
            () = shutdown => Ok(()),
        };
    }
    Ok(consumer.run(shutdown).await?)
}
