//! A store with one fault in its in-flight attempts and pings.

use std::time::Duration;

use messagekit::adapter::{BoxFuture, InFlightAttempts};
use messagekit::operations::{OutboxHealth, OutboxLag};
use messagekit::{Error, ErrorKind, MessageId, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};
use crate::unique;

impl FaultyStore {
    fn suspected_by<'a>(&self, consumer: &'a str) -> &'a str {
        if self.is(Fault::SuspectsIgnoreConsumer) { "everybody" } else { consumer }
    }

    async fn absolve_at_once(&self, consumer: &str, suspect: &MessageId) -> Result<(), Error> {
        let mut own = self.inner.begin().await?;
        self.inner.clear_attempts(&mut own, consumer, suspect).await?;
        self.inner.commit(own).await
    }
}

impl InFlightAttempts for FaultyStore {
    async fn begin_attempt(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<u32, Error> {
        let anybody = unique("anybody");
        let by = if self.is(Fault::SuspectsSuspectThemselves) { &anybody } else { by };
        let notes = self.inner.begin_attempt(self.suspected_by(consumer), suspect, by).await?;
        Ok(if self.is(Fault::SuspectsForgetDeaths) { 0 } else { notes })
    }

    async fn clear_attempts(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        suspect: &MessageId,
    ) -> Result<(), Error> {
        match self.fault {
            Some(Fault::AbsolveDoesNothing) => Ok(()),
            Some(Fault::AbsolvesOutsideTransaction) => self.absolve_at_once(consumer, suspect).await,
            _ => self.inner.clear_attempts(tx.inner(), self.suspected_by(consumer), suspect).await,
        }
    }

    async fn withdraw_attempt(&self, consumer: &str, suspect: &MessageId, by: &str) -> Result<(), Error> {
        match self.fault {
            Some(Fault::StandDownDoesNothing) => Ok(()),
            Some(Fault::CountedNotesStay) => {
                let others = self.inner.begin_attempt(consumer, suspect, by).await?;
                if others > 0 { Ok(()) } else { self.inner.withdraw_attempt(consumer, suspect, by).await }
            }
            Some(Fault::StandDownAbsolves) => self.absolve_at_once(consumer, suspect).await,
            _ => self.inner.withdraw_attempt(self.suspected_by(consumer), suspect, by).await,
        }
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        if self.is(Fault::SweepDoesNothing) {
            Ok(())
        } else {
            self.inner.clear_finished_attempts(consumer).await
        }
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

    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.checkpoint(every)
    }
}
