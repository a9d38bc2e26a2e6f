//! A relay in its own process whose broker fails one call in a hundred. Half of those do nothing; of the others the answer
//! is lost.
#![allow(clippy::print_stdout, reason = "a program of the tests tells its reader what it did")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::relay::Relay;
use messagekit::{Error, ErrorKind, Message, Shutdown};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_postgres::PostgresStore;

struct Flaky {
    kafka: KafkaPublisher,
    calls: AtomicU64,
}

impl Publisher for Flaky {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            let refusal = match call % 200 {
                0 => PublishErrorKind::Unavailable,
                100 => PublishErrorKind::Unknown,
                _ => return self.kafka.publish(batch).await,
            };
            if refusal == PublishErrorKind::Unknown {
                self.kafka.publish(batch).await;
            }
            println!("failed a call of {} events", batch.len());
            let failed = |_| {
                let error = Error::new(ErrorKind::Unavailable, "one call in a hundred fails");
                Err(PublishError { refusal, error })
            };
            batch.iter().map(failed).collect()
        })
    }

    fn max_bytes(&self) -> usize {
        self.kafka.max_bytes()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [name, database, brokers] = ["NAME", "DATABASE", "BROKERS"].map(std::env::var);
    // The same settings that the tests give to the program.
    let kafka = Kafka::new(brokers?).set("batch.size", "100000")?.set("retry.backoff.max.ms", "100")?;
    // After each kill, it must not begin with the same calls.
    let calls = AtomicU64::new(u64::from(std::process::id()));
    let flaky = Flaky { kafka: kafka.publisher()?, calls };
    let relay = Relay::builder(name?)
        .reader(Arc::new(PostgresStore::lazy(&database?)?))
        .to(Arc::new(flaky))
        .lease(Duration::from_secs(2))
        .batch(100.try_into()?)
        .build()?;
    Ok(relay.run(Shutdown::on_signal()?).await?)
}
