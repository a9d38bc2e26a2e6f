//! A member of a group, for tests that stop, freeze and kill it: notes each record that it has handled, after a while.
//!
//! Its settings stand in the environment: `DATABASE`, `BROKERS`, `TOPIC`, `GROUP`, `NAME`, `SLOWEST` (milliseconds), and
//! `STATIC`, where it comes back under its name, and `SESSION` (milliseconds), where it is not the default; with `DROPS` it does
//! not close when it is asked to end, but drops everything.
#![allow(clippy::print_stdout, reason = "a program of the tests tells its reader that it has begun")]

use std::sync::Arc;
use std::time::Duration;

use messagekit::{Consumer, Envelope, Event, HandlerError, OnFailure, Shutdown};
use messagekit_kafka::Kafka;
use messagekit_postgres::{PgTx, PostgresStore};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "storm.step.taken", key = "key")]
struct StepTaken {
    key: String,
}

/// Handlers come nowhere near it, however busy the machine.
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
    let shutdown = Shutdown::on_signal()?;
    let name = setting("NAME")?;
    let store = PostgresStore::connect(&setting("DATABASE")?).await?;
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
        // What a frozen member holds is free a moment behind this.
        .deadline(DEADLINE)
        .build()?;
    println!("ready");
    if std::env::var("DROPS").is_ok() {
        // As a program does that ends in the midst of it.
        return tokio::select! {
            ended = consumer.run(Shutdown::new()) => Ok(ended?),
            () = shutdown => Ok(()),
        };
    }
    Ok(consumer.run(shutdown).await?)
}
