//! A store with one fault in what it keeps of primings.

use messagekit::adapter::{Priming, Primings};
use messagekit::{Error, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

impl FaultyStore {
    pub(super) async fn priming_with_fault(&self, consumer: &str) -> Result<Option<Priming>, Error> {
        let kept = self.inner.priming(self.primed(consumer)).await?;
        let last = self.notes().primings.get(consumer).copied();
        Ok(match (self.fault, kept, last) {
            (Some(Fault::FrontierGoesBack), Some(kept), Some(last)) => {
                Some(Priming { frontier: last.frontier, ..kept })
            }
            (Some(Fault::FrontierContinuesFinished), Some(kept), Some(last)) => {
                Some(Priming { is_finished: last.is_finished, ..kept })
            }
            _ => kept,
        })
    }

    pub(super) async fn begin_priming_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        after: u32,
    ) -> Result<bool, Error> {
        self.notes().primings.insert(consumer.to_owned(), Priming::begun(after + 1));
        let consumer = self.primed(consumer);
        let last = self.inner.priming(consumer).await?.map_or(0, |last| last.number);
        let after = if self.is(Fault::PrimingBeginsAgain) { last } else { after };
        if self.is(Fault::PrimingOutsideTransaction) {
            let mut own = self.inner.begin().await?;
            let begins = self.inner.begin_priming(&mut own, consumer, after).await?;
            return self.inner.commit(own).await.map(|()| begins);
        }
        self.inner.begin_priming(tx.inner(), consumer, after).await
    }

    pub(super) async fn write_priming_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        mut priming: Priming,
    ) -> Result<(), Error> {
        self.notes().primings.insert(consumer.to_owned(), priming);
        let consumer = self.primed(consumer);
        if self.is(Fault::EarlierPrimingWrites) {
            priming.number = self.inner.priming(consumer).await?.map_or(0, |last| last.number);
        }
        if self.is(Fault::PrimingOutsideTransaction) {
            let mut own = self.inner.begin().await?;
            self.inner.write_priming(&mut own, consumer, priming).await?;
            return self.inner.commit(own).await;
        }
        self.inner.write_priming(tx.inner(), consumer, priming).await
    }

    fn primed<'a>(&self, consumer: &'a str) -> &'a str {
        if self.is(Fault::PrimingIgnoresConsumer) { "everybody" } else { consumer }
    }
}
