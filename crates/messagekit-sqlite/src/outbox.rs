//! The outbox: events as records of their topics, in the producer's transaction.

use std::time::Duration;

use messagekit::adapter::{OutboxEvents, OutboxRows, WithoutRelay};
use messagekit::{Error, Message, crash};

use crate::tables::{append, delayed, micros, now, outbox_events};
use crate::{SqliteStore, SqliteTx};

/// Appends events to their topics directly, in the producer's transaction. A relay then publishes those of relayed
/// topics.
impl OutboxRows for SqliteStore {
    async fn write(&self, tx: &mut SqliteTx, messages: &[Message]) -> Result<(), Error> {
        let (messages, partitions) = (messages.to_vec(), self.partitions().get());
        let appended = tx.run(move |conn| append::append(conn, &messages, partitions, now())).await?;
        if appended.leaves {
            let news = self.news().clone();
            tx.on_commit(Box::new(move || news.wake()));
        }
        crash::point("outbox.written");
        Ok(())
    }

    /// The file itself delays, with or without a relay. An event enters its topic within 200 ms of its time. The writer
    /// of any process that has the file open then, or opens it next, appends it. A delay above a hundred years counts as
    /// a hundred years.
    async fn write_after(
        &self,
        tx: &mut SqliteTx,
        messages: &[Message],
        delay: Duration,
        _without_relay: WithoutRelay,
    ) -> Result<(), Error> {
        if delay.is_zero() {
            return self.write(tx, messages).await;
        }
        let messages = messages.to_vec();
        tx.run(move |conn| {
            let now = now();
            delayed::keep(conn, &messages, now.saturating_add(micros(delay)), now)
        })
        .await?;
        crash::point("outbox.written");
        Ok(())
    }

    fn wake(&self) {
        self.news().wake();
    }
}

impl OutboxEvents for SqliteStore {
    async fn outbox_events(&self) -> Result<Vec<Message>, Error> {
        self.query(outbox_events::all).await
    }
}
