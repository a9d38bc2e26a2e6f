//! Health of an in-memory outbox.

use std::time::Duration;

use super::{Failpoint, MemoryStore};
use crate::Error;
use crate::outbox_health::{OutboxHealth, OutboxLag};
use crate::store::BoxFuture;

impl OutboxHealth for MemoryStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.tables(|tables| tables.pass(Failpoint::Ping)) })
    }

    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        Box::pin(async move {
            let nothing = OutboxLag { pending: 0, overdue: 0, oldest: None, problems: Vec::new() };
            Ok(self.tables(|tables| tables.lag.clone()).unwrap_or(nothing))
        })
    }

    fn checkpoint(&self, _every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}
