//! Health of an in-memory outbox.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{Doctor, OutboxHealth, OutboxLag};

use super::{Failpoint, MemoryStore};

impl OutboxHealth for MemoryStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.tables(|tables| tables.pass(Failpoint::Ping)) })
    }

    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        Box::pin(async move { Ok(self.tables(|tables| tables.lag.clone()).unwrap_or_default()) })
    }

    fn checkpoint(&self, _every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// Memory has no setup that could be at fault.
impl Doctor for MemoryStore {}
