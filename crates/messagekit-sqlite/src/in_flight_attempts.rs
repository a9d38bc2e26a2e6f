//! Records of messages whose handler is running, to detect the message that crashes its process.

use messagekit::adapter::InFlightAttempts;
use messagekit::{Error, MessageId};

use crate::error::from_sqlite;
use crate::tables::{in_flight_attempts, names, now};
use crate::{SqliteStore, SqliteTx};

impl InFlightAttempts for SqliteStore {
    async fn begin_attempt(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<u32, Error> {
        let (consumer, id, by, now) = (consumer.to_owned(), suspect.clone(), by.to_owned(), now());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::note(conn, consumer, &id, &by, now))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn clear_attempts(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        suspect: &MessageId,
    ) -> Result<(), Error> {
        let (consumer, id) = (consumer.to_owned(), suspect.clone());
        tx.run(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::clear_attempts(conn, consumer, &id))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn withdraw_attempt(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<(), Error> {
        let (consumer, id, by) = (consumer.to_owned(), suspect.clone(), by.to_owned());
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::withdraw_attempt(conn, consumer, &id, &by))
                .map_err(from_sqlite)
        })
        .await
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        let consumer = consumer.to_owned();
        self.job(move |conn| {
            names::consumer(conn, &consumer)
                .and_then(|consumer| in_flight_attempts::sweep(conn, consumer))
                .map_err(from_sqlite)
        })
        .await
    }
}
