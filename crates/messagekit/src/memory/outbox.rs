//! Outbox of an in-memory store.

use super::MemoryStore;
use super::log::check;
use super::tx::MemoryTx;
use crate::store::OutboxRows;
use crate::{Error, Message};

impl OutboxRows for MemoryStore {
    async fn write(&self, tx: &mut MemoryTx, messages: &[Message]) -> Result<(), Error> {
        self.statement(tx, None, |_, tx| {
            messages.iter().try_for_each(check)?;
            tx.writes.outbox.extend_from_slice(messages);
            Ok(())
        })?;
        crate::crash::point("outbox.written");
        Ok(())
    }
}
