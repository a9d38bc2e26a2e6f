//! Outbox of an in-memory store.

use messagekit::adapter::{OutboxEvents, OutboxRows};
use messagekit::{Error, Message};

use super::MemoryStore;
use super::failpoint::Failpoint;
use super::log::check;
use super::tables::Tables;
use super::tx::MemoryTx;

impl OutboxRows for MemoryStore {
    async fn write(&self, tx: &mut MemoryTx, messages: &[Message]) -> Result<(), Error> {
        self.tables(|tables| tables.pass(Failpoint::OutboxWrite))?;
        self.statement(tx, None, |_, tx| {
            messages.iter().try_for_each(check)?;
            tx.writes.outbox.extend_from_slice(messages);
            Ok(())
        })?;
        self.tables(|tables| tables.outbox_writes += 1);
        messagekit::crash::point("outbox.written");
        if self.tables(Tables::hangs_after_write) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

impl OutboxEvents for MemoryStore {
    async fn outbox_events(&self) -> Result<Vec<Message>, Error> {
        Ok(self.outbox())
    }
}
