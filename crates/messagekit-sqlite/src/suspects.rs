//! Who handles what may end its process, and has not answered.

use messagekit::{Error, MessageId, Suspects};

use crate::error::from_sqlite;
use crate::tables::{names, now, suspects};
use crate::{SqliteStore, SqliteTx};

impl Suspects for SqliteStore {
    async fn suspect(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<u32, Error> {
        let (consumer, id, by, now) = (consumer.to_owned(), suspect.clone(), by.to_owned(), now());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| suspects::note(conn, consumer, &id, &by, now))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn absolve(&self, tx: &mut SqliteTx, consumer: &str, suspect: &MessageId) -> Result<(), Error> {
        let (consumer, id) = (consumer.to_owned(), suspect.clone());
        tx.run(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| suspects::absolve(conn, consumer, &id))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn stand_down(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<(), Error> {
        let (consumer, id, by) = (consumer.to_owned(), suspect.clone(), by.to_owned());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| suspects::stand_down(conn, consumer, &id, &by))
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
