//! The outbox of topics that live in the same file.

use messagekit::{Error, Message, OutboxRows, crash};

use crate::tables::{append, now};
use crate::{SqliteStore, SqliteTx};

/// Events go into their topics directly, in the writer's transaction: there is nothing to publish later.
impl OutboxRows for SqliteStore {
    async fn write(&self, tx: &mut SqliteTx, messages: &[Message]) -> Result<(), Error> {
        let (messages, partitions) = (messages.to_vec(), self.partitions().get());
        tx.run(move |conn| append::append(conn, &messages, partitions, now())).await?;
        crash::point("outbox.written");
        Ok(())
    }
}
