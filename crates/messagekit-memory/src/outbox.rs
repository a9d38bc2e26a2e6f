//! Outbox of an in-memory store.

use messagekit::adapter::OutboxRows;
use messagekit::{Error, Message};

use super::MemoryStore;
use super::log::check;
use super::tx::MemoryTx;

impl OutboxRows for MemoryStore {
    async fn write(&self, tx: &mut MemoryTx, messages: &[Message]) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            messages.iter().try_for_each(check)?;
            tx.writes.outbox.extend_from_slice(messages);
            Ok(())
        })?;
        messagekit::crash::point("outbox.written");
        Ok(())
    }
}
