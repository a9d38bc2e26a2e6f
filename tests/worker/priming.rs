//! A projection that is primed: what it has seen is a row for each record, in the order in which they came.

use std::sync::Arc;

use messagekit::log::{OrderedReader, Start};
use messagekit::{Consumer, Error, HandlerError, Message, Shutdown};
use messagekit_sqlite::{SqliteStore, SqliteTx};

/// The topics of the projection.
pub(crate) const TOPICS: [&str; 2] = ["left.number", "right.number"];

/// Primes the projection and goes on until shutdown.
pub(crate) async fn run(store: &SqliteStore, shutdown: Shutdown) -> Result<(), Error> {
    let log = Arc::new(store.clone());
    let reader = OrderedReader::builder().batch_size(50);
    let reader =
        TOPICS.iter().fold(reader, |reader, topic| reader.source(log.clone(), *topic, Start::Earliest));
    let consumer = Consumer::builder("projection", store.clone()).from(store.topics(TOPICS));
    consumer.fallback(project).build()?.prime(reader).run(shutdown).await
}

async fn project(tx: &mut SqliteTx, message: Message) -> Result<(), HandlerError> {
    let number = String::from_utf8_lossy(&message.payload).into_owned();
    tx.call(move |c| c.execute("INSERT INTO projected (number) VALUES (?1)", [number])).await?;
    Ok(())
}
