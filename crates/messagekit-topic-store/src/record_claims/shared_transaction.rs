//! One transaction for several calls.

use std::sync::{Arc, Mutex};

use messagekit::Error;

use super::call::Call;
use super::claim_id::ClaimHolder;
use super::claim_partition::{ClaimPartition, ClaimPartitions, WindowDecision, WindowReplacement};
use super::claim_store::{DecideWindows, RecordClaims};
use super::steps::Steps;
use super::turns::lock;
use super::windows::{Stop, Windows};

/// The calls of a turn. A transaction that fails leaves them where they are.
type Calls = Arc<Mutex<Vec<Box<dyn Call>>>>;

impl<S: RecordClaims> Steps<S> {
    /// Decides calls one after the other, writes what they change in one transaction, and answers them. An error of one is its own.
    pub(super) async fn serve(&self, mut calls: Vec<Box<dyn Call>>) {
        calls.retain(|call| !call.is_abandoned());
        if calls.is_empty() {
            return;
        }
        // A claim ends claims whose lease is over. What still settles some comes first.
        calls.sort_by_key(|call| call.holder().is_some());
        let calls = Arc::new(Mutex::new(calls));
        let served = match self.without_lock(&calls).await {
            Ok(false) => self.with_lock(&calls).await,
            known => known.map(drop),
        };
        let mut calls = std::mem::take(&mut *lock(&calls));
        if served.is_ok() {
            self.read_at_once(&mut calls).await;
        }
        for call in calls {
            call.answer(served.clone());
        }
    }

    /// Tries without a transaction that locks, and returns false when it takes one.
    async fn without_lock(&self, calls: &Calls) -> Result<bool, Error> {
        let decide: DecideWindows<'_> = Box::new(|found| Box::pin(self.seen(found, Arc::clone(calls))));
        self.store.replace_claim_window(&self.consumer, &self.topic, decide).await
    }

    /// Decides about windows that are not locked.
    async fn seen(&self, found: ClaimPartitions, calls: Calls) -> Result<WindowDecision, Error> {
        let mut windows = self.windows(found, &calls).await?;
        windows.are_locked = false;
        if lock(&calls).iter_mut().any(|call| call.decide(&mut windows, &[]).is_some()) {
            return Ok(WindowDecision::Lock);
        }
        let (from, to) = match windows.changed()[..] {
            [] => return Ok(WindowDecision::Keep),
            [only] => only,
            _ => return Ok(WindowDecision::Lock),
        };
        let (partition, from, to) = (to.bounds.partition, from.window.clone(), to.window.clone());
        Ok(WindowDecision::Replace(WindowReplacement { partition, from, to }))
    }

    async fn with_lock(&self, calls: &Calls) -> Result<(), Error> {
        let (this, calls) = (self.clone(), Arc::clone(calls));
        self.transact_if(move |tx| {
            Box::pin(async move {
                let found = this.store.claim_partitions(tx, &this.consumer, &this.topic).await?;
                let mut windows = this.windows(found, &calls).await?;
                let count = lock(&calls).len();
                for index in 0..count {
                    let mut keys = Vec::new();
                    loop {
                        let missing = lock(&calls)[index].decide(&mut windows, &keys);
                        let Some(Stop::Keys { partition, offsets }) = missing else { break };
                        // In the transaction: it may have given records their offsets that no other connection sees yet.
                        keys.push(this.store.record_keys(tx, &this.topic, partition, &offsets).await?);
                    }
                }
                for (_, ClaimPartition { bounds, window, .. }) in windows.changed() {
                    this.write(tx, bounds.partition, window).await?;
                }
                let is_kept = lock(&calls).iter().any(|call| call.has_decided());
                Ok(((), is_kept))
            })
        })
        .await
    }

    async fn windows(&self, found: ClaimPartitions, calls: &Calls) -> Result<Windows, Error> {
        let own: Vec<ClaimHolder> = lock(calls).iter().filter_map(|call| call.holder()).cloned().collect();
        let ended = if own.is_empty() { Vec::new() } else { self.ended(&own, &found.partitions).await? };
        Ok(Windows::new(found, ended))
    }
}
