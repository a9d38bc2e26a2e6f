//! A store with one fault in its in-flight attempts and pings.

use std::time::Duration;

use messagekit::adapter::{Attempts, BoxFuture};
use messagekit::operations::{Doctor, OutboxHealth, OutboxLag, SourceState};
use messagekit::{Error, ErrorKind, MessageId, Store};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    pub(super) fn attempts_of<'a>(&self, consumer: &'a str) -> &'a str {
        if self.is(Fault::AttemptsIgnoreConsumer) { "everybody" } else { consumer }
    }

    pub(super) async fn clear_at_once(&self, consumer: &str, message: &MessageId) -> Result<(), Error> {
        let mut own = self.inner.begin().await?;
        self.inner.clear_attempts(&mut own, consumer, message).await?;
        self.inner.commit(own).await
    }
}

impl OutboxHealth for FaultyStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if self.is(Fault::PingFails) {
                return Err(Error::new(ErrorKind::Unavailable, "the database does not answer"));
            }
            self.inner.ping().await
        })
    }

    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        self.inner.lag()
    }

    fn source_states(&self) -> BoxFuture<'_, Result<Vec<SourceState>, Error>> {
        self.inner.source_states()
    }

    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.checkpoint(every)
    }
}

impl Doctor for FaultyStore {}
