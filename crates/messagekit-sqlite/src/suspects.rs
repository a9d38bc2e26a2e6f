//! Counting the deaths of processes on one message.

use messagekit::{Error, Received, Suspects};

use crate::error::from_sqlite;
use crate::tables::{names, now, suspects};
use crate::{SqliteStore, SqliteTx};

impl Suspects for SqliteStore {
    async fn suspect(&self, consumer: &str, received: &Received) -> Result<u32, Error> {
        let (consumer, id, now) = (consumer.to_owned(), received.id.clone(), now());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| suspects::note(conn, consumer, &id, now))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn absolve(&self, tx: &mut SqliteTx, consumer: &str, received: &Received) -> Result<(), Error> {
        let (consumer, id) = (consumer.to_owned(), received.id.clone());
        tx.run(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| suspects::absolve(conn, consumer, &id))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn stand_down(&self, consumer: &str, received: &Received) -> Result<(), Error> {
        let (consumer, id) = (consumer.to_owned(), received.id.clone());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| suspects::stand_down(conn, consumer, &id))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn sweep_suspects(&self, consumer: &str) -> Result<(), Error> {
        let consumer = consumer.to_owned();
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| suspects::sweep(conn, consumer))
                .map_err(from_sqlite)
        })
        .await
    }
}
