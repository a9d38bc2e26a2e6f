//! A store with one fault in its records of broker dead letters.

use std::time::Duration;

use messagekit::adapter::{
    Bookkeeping, BrokerDeadLetter, FailedMessageRows, Next, Redelivery, SetAsideOutcome,
};
use messagekit::operations::Origin;
use messagekit::{Error, MessageId, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

impl Bookkeeping for FaultyStore {
    async fn keep(&self, tx: &mut FaultyTx, found: &BrokerDeadLetter) -> Result<SetAsideOutcome, Error> {
        let mut found = found.clone();
        match self.fault {
            Some(Fault::KeepIgnoresScope) => found.scope = "everywhere".to_owned(),
            Some(Fault::KeepForgetsReturns) => {
                let id = found.received.id.as_str().split('+').next().unwrap_or_default().to_owned();
                found.received.id = MessageId::from_stored(&id);
            }
            Some(Fault::KeepsOutsideTransaction) => {
                let mut own = self.inner.begin().await?;
                let outcome = self.inner.keep(&mut own, &found).await?;
                self.inner.commit(own).await?;
                return Ok(outcome);
            }
            Some(Fault::KeepsAlive) if found.failure.next != Next::Dead => {
                return self.inner.set_aside(tx.inner(), &found.scope, &found.received, &found.failure).await;
            }
            _ => {}
        }
        let outcome = self.inner.keep(tx.inner(), &found).await?;
        Ok(if self.is(Fault::KeepsAgain) { SetAsideOutcome::SetAside } else { outcome })
    }

    async fn note_failure(
        &self,
        tx: &mut FaultyTx,
        event_id: &MessageId,
        scope: &str,
        reason: &str,
    ) -> Result<bool, Error> {
        if self.is(Fault::NotesFailureOutsideTransaction) {
            let mut own = self.inner.begin().await?;
            let ours = self.inner.note_failure(&mut own, event_id, scope, reason).await?;
            self.inner.commit(own).await?;
            return Ok(ours);
        }
        let ours = self.inner.note_failure(tx.inner(), event_id, scope, reason).await?;
        Ok(ours || self.is(Fault::NotesStrangers))
    }

    async fn lease_returns(
        &self,
        origin: Origin,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<Redelivery>, Error> {
        let mut returning = self.inner.lease_returns(origin, max, lease).await?;
        match self.fault {
            Some(Fault::ReturnsIgnoreOrigin) if origin == Origin::Queue => {
                returning.extend(self.inner.lease_returns(Origin::Topic, max, lease).await?);
            }
            Some(Fault::ReturnsForgetScope) => {
                returning.iter_mut().for_each(|returning| returning.scope = "somewhere".to_owned());
            }
            _ => {}
        }
        Ok(returning)
    }
}
