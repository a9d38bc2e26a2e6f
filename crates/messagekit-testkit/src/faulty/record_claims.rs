//! Record claims with one fault.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messagekit::adapter::Retries as _;
use messagekit::log::Record;
use messagekit::{Error, Store};
use messagekit_topic_store::{
    ClaimHolder, ClaimPartitions, ClaimWindow, LeaseOf, LeasedMessage, RecordClaims,
};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

/// The only consumer of [`Fault::ClaimsIgnoreTheConsumer`].
const EVERYBODY: &str = "everybody";

impl RecordClaims for FaultyStore {
    async fn claim_holder(&self) -> Result<ClaimHolder, Error> {
        self.inner.claim_holder().await
    }

    async fn ended_holders(&self, holders: &[ClaimHolder]) -> Result<Vec<ClaimHolder>, Error> {
        match self.fault {
            Some(Fault::HoldersNeverEnd) => Ok(Vec::new()),
            Some(Fault::HoldersEndTooSoon) => Ok(holders.to_vec()),
            _ => self.inner.ended_holders(holders).await,
        }
    }

    async fn claim_partitions(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        topic: &Arc<str>,
    ) -> Result<ClaimPartitions, Error> {
        let consumer = self.claiming(consumer);
        let mut found = if self.is(Fault::ClaimsTakeNoLock) {
            let mut other = self.inner.begin().await?;
            let found = self.inner.claim_partitions(&mut other, consumer, topic).await?;
            drop(other);
            tokio::task::yield_now().await;
            found
        } else {
            self.inner.claim_partitions(tx.inner(), consumer, topic).await?
        };
        let key = (self.inner.claim_holder().await?, consumer.to_owned(), topic.clone());
        let mut notes = self.notes();
        let notes = &mut notes.claims;
        if self.is(Fault::ClaimClockStands) {
            found.now = *notes.first_time.get_or_insert(found.now);
        }
        for partition in &mut found.partitions {
            let (bounds, window) = (&mut partition.bounds, &mut partition.window);
            match self.fault {
                Some(Fault::ClaimsBeginAtTheEnd) if *window == ClaimWindow::new(bounds.earliest) => {
                    *window = ClaimWindow::new(bounds.end);
                    partition.is_new = false;
                }
                Some(Fault::ClaimsAreNeverNew) => partition.is_new = false,
                Some(Fault::ClaimsSeeTheFirstEnd) => {
                    bounds.end = *notes.ends.entry(topic.clone()).or_insert(bounds.end);
                }
                Some(Fault::ClaimsSeeTheFirstStart) => {
                    bounds.earliest = *notes.starts.entry(topic.clone()).or_insert(bounds.earliest);
                }
                Some(Fault::ClaimsIgnoreDeletions) => bounds.earliest = 0,
                Some(Fault::ClaimsStayInTheirProcess) => {
                    *window =
                        notes.windows.get(&key).cloned().unwrap_or_else(|| ClaimWindow::new(bounds.earliest));
                }
                Some(Fault::ClaimsAreCached) => {
                    if let Some(known) = notes.windows.get(&key) {
                        window.clone_from(known);
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    async fn write_claim_window(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        topic: &Arc<str>,
        partition: i32,
        window: &ClaimWindow,
    ) -> Result<(), Error> {
        let consumer = self.claiming(consumer);
        let key = (self.inner.claim_holder().await?, consumer.to_owned(), topic.clone());
        let known = self.notes().claims.windows.insert(key, window.clone());
        match self.fault {
            Some(Fault::ClaimsAreForgotten) => Ok(()),
            Some(Fault::ClaimsNeverGoBack) if known.is_some_and(|known| known.next() > window.next()) => {
                Ok(())
            }
            Some(Fault::ClaimsOutsideTransaction | Fault::ClaimsTakeNoLock) => {
                let own = std::mem::replace(tx.inner(), self.inner.begin().await?);
                drop(own);
                let mut other = self.inner.begin().await?;
                self.inner.write_claim_window(&mut other, consumer, topic, partition, window).await?;
                self.inner.commit(other).await
            }
            Some(Fault::ClaimsLoseTheirTail) => {
                let window = without_tail(window)?;
                self.inner.write_claim_window(tx.inner(), consumer, topic, partition, &window).await
            }
            Some(Fault::ClaimsOfOthersAreHeld) => {
                let window = held_by(window, &self.inner.claim_holder().await?)?;
                self.inner.write_claim_window(tx.inner(), consumer, topic, partition, &window).await
            }
            Some(Fault::ClaimsForgetDelays) => {
                let window = without_times(window, "due")?;
                self.inner.write_claim_window(tx.inner(), consumer, topic, partition, &window).await
            }
            Some(Fault::ClaimsForgetLeases) => {
                let window = without_times(window, "until")?;
                self.inner.write_claim_window(tx.inner(), consumer, topic, partition, &window).await
            }
            _ => self.inner.write_claim_window(tx.inner(), consumer, topic, partition, window).await,
        }
    }

    async fn record_keys(
        &self,
        tx: &mut FaultyTx,
        topic: &Arc<str>,
        partition: i32,
        offsets: &[Range<i64>],
    ) -> Result<Vec<(i64, Bytes)>, Error> {
        let seen = if self.is(Fault::ClaimsSeeKeysOfOneRange) { &offsets[..1] } else { offsets };
        let mut keys = self.inner.record_keys(tx.inner(), topic, partition, seen).await?;
        match self.fault {
            Some(Fault::ClaimsSeeNoKeys) => keys.clear(),
            Some(Fault::ClaimsMissTheLastKey) => drop(keys.pop()),
            Some(Fault::ClaimsMissTenthKeys) => keys.retain(|(offset, _)| offset % 10 != 9),
            _ => {}
        }
        Ok(keys)
    }

    async fn lease_failed(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        partition: Option<i32>,
        lease: Duration,
    ) -> Result<Option<LeasedMessage>, Error> {
        match self.fault {
            Some(Fault::ClaimsLeaseNoFailedMessage) => Ok(None),
            Some(Fault::ClaimsLeaseOfAnyTopic) => {
                let leased = self.inner.lease(consumer, 1, lease).await?.into_iter().next();
                Ok(leased.map(|lease| LeasedMessage { lease, until: jiff::Timestamp::now() }))
            }
            Some(Fault::ClaimsForgetAttempts) => {
                let mut leased = self.inner.lease_failed(consumer, topic, partition, lease).await?;
                leased.iter_mut().for_each(|leased| leased.lease.attempt = 1);
                Ok(leased)
            }
            _ => self.inner.lease_failed(consumer, topic, partition, lease).await,
        }
    }

    async fn leased_failed(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        of: &LeaseOf,
    ) -> Result<Option<LeasedMessage>, Error> {
        let found = self.inner.leased_failed(tx.inner(), consumer, of).await?;
        Ok(found.filter(|_| !self.is(Fault::ClaimsFindNoLease)))
    }

    async fn read_claimed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        offsets: Range<i64>,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        let end = if self.is(Fault::ClaimReadsOn) { i64::MAX } else { offsets.end };
        let max_bytes = if self.is(Fault::ClaimReadsEveryByte) { usize::MAX } else { max_bytes };
        let mut records = self.inner.read_claimed(topic, partition, offsets.start..end, max_bytes).await?;
        if self.is(Fault::ClaimDropsTheKey) {
            records.iter_mut().for_each(|record| record.message.key = None);
        }
        Ok(records)
    }
}

impl FaultyStore {
    fn claiming<'a>(&self, consumer: &'a str) -> &'a str {
        if self.is(Fault::ClaimsIgnoreTheConsumer) { EVERYBODY } else { consumer }
    }
}

/// Returns a window without the last of its ranges, if it has several.
fn without_tail(window: &ClaimWindow) -> Result<ClaimWindow, Error> {
    let mut ranges: Vec<serde_json::Value> =
        serde_json::from_str(&window.encode()).expect("a window is written as a list");
    if ranges.len() > 1 {
        ranges.pop();
    }
    ClaimWindow::decode(window.next(), &serde_json::Value::from(ranges).to_string())
}

/// Returns a window whose ranges have 1970 for one of their times.
fn without_times(window: &ClaimWindow, name: &str) -> Result<ClaimWindow, Error> {
    let mut ranges: Vec<serde_json::Value> =
        serde_json::from_str(&window.encode()).expect("a window is written as a list");
    for range in &mut ranges {
        let states = range["state"].as_object_mut().into_iter().flat_map(|states| states.values_mut());
        for time in states.filter_map(|state| state.get_mut(name)) {
            *time = serde_json::Value::from(0);
        }
    }
    ClaimWindow::decode(window.next(), &serde_json::Value::from(ranges).to_string())
}

/// Returns a window whose claims have one holder.
fn held_by(window: &ClaimWindow, holder: &ClaimHolder) -> Result<ClaimWindow, Error> {
    let mut ranges: Vec<serde_json::Value> =
        serde_json::from_str(&window.encode()).expect("a window is written as a list");
    for range in &mut ranges {
        if let Some(claimed) = range["state"].get_mut("claimed") {
            claimed["holder"] = serde_json::Value::from(holder.as_str());
        }
    }
    ClaimWindow::decode(window.next(), &serde_json::Value::from(ranges).to_string())
}
