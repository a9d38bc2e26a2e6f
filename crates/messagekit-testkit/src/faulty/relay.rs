//! A store with one fault in its relay interface, over any store without a fault.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, OutboxRows, WithoutRelay};
use messagekit::operations::Operator;
use messagekit::relay::{
    LONGEST_LEASE, Leases, OutboxReader, Page, Pending, PendingId, RejectedAction, RejectedEvent,
    RejectedEvents, Rejection, ShardLease, ShardRead,
};
use messagekit::{Error, Message, Store};

use super::Fault;
use crate::relay::RelayFixture;

/// Longer than any case.
const LEASE: Duration = LONGEST_LEASE;

/// A fixture with one fault that wraps another fixture.
#[derive(Clone)]
pub struct FaultyRelayFixture<F> {
    inner: F,
    fault: Option<Fault>,
}

impl<F> FaultyRelayFixture<F> {
    /// Wraps a fixture in one with this fault.
    pub fn new(inner: F, fault: Option<Fault>) -> Self {
        Self { inner, fault }
    }
}

impl<F> fmt::Debug for FaultyRelayFixture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyRelayFixture").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl<F: RelayFixture> RelayFixture for FaultyRelayFixture<F> {
    type Store = FaultyOutbox<F::Store>;

    fn store(&self) -> FaultyOutbox<F::Store> {
        FaultyOutbox { inner: self.inner.store(), fault: self.fault, notes: Arc::default() }
    }

    async fn second(&self) -> FaultyOutbox<F::Store> {
        FaultyOutbox { inner: self.inner.second().await, fault: self.fault, notes: Arc::default() }
    }
}

/// A store that serves its relays with one fault.
#[derive(Clone)]
pub struct FaultyOutbox<S> {
    inner: S,
    fault: Option<Fault>,
    notes: Arc<Mutex<Notes>>,
}

/// State that the faults keep.
#[derive(Default)]
struct Notes {
    /// The last event read at each position.
    read: HashMap<(u16, i64), PendingId>,
    leases: i64,
}

impl<S: OutboxReader> FaultyOutbox<S> {
    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lease with the epoch under which the shard is held now, whatever the request holds.
    async fn present(&self, name: &str, lease: ShardLease) -> Result<ShardLease, Error> {
        let held = self.inner.lease(name, LEASE).await?.held;
        Ok(held.into_iter().find(|held| held.shard == lease.shard).unwrap_or(lease))
    }

    fn spoil(&self, page: &mut Page) {
        match self.fault {
            Some(Fault::PagesAreNeverCut) => page.more = false,
            Some(Fault::HidesHeldEvents) => page.rows.iter_mut().for_each(|row| row.held = false),
            Some(Fault::DecidesTooMuch) => page.stable = page.stable.saturating_add(5),
            Some(Fault::HidesLostShards) => page.lost.clear(),
            Some(Fault::ReadsBackwards) => page.rows.reverse(),
            Some(Fault::HeadersInAnotherOrder) => {
                for Pending { message, .. } in &mut page.rows {
                    let mut turned = messagekit::Headers::new();
                    let all: Vec<_> = message.headers.iter().collect();
                    for (name, value) in all.into_iter().rev() {
                        turned.set(name, value.clone());
                    }
                    message.headers = turned;
                }
            }
            _ => {}
        }
    }
}

impl<S: OutboxReader + OutboxRows> Store for FaultyOutbox<S> {
    type Tx = S::Tx;

    async fn begin(&self) -> Result<S::Tx, Error> {
        self.inner.begin().await
    }

    async fn commit(&self, tx: S::Tx) -> Result<(), Error> {
        self.inner.commit(tx).await
    }

    async fn rollback(&self, tx: S::Tx) -> Result<(), Error> {
        match self.is(Fault::RolledBackEventsArePending) {
            true => self.inner.commit(tx).await,
            false => self.inner.rollback(tx).await,
        }
    }
}

impl<S: OutboxReader + OutboxRows> OutboxRows for FaultyOutbox<S> {
    async fn write(&self, tx: &mut S::Tx, messages: &[Message]) -> Result<(), Error> {
        self.inner.write(tx, messages).await
    }

    async fn write_after(
        &self,
        tx: &mut S::Tx,
        messages: &[Message],
        delay: Duration,
        without_relay: WithoutRelay,
    ) -> Result<(), Error> {
        match self.fault {
            Some(Fault::DelaysNothing) => self.inner.write(tx, messages).await,
            Some(Fault::DelaysTurnTheOrder) => {
                let turned: Vec<Message> = messages.iter().rev().cloned().collect();
                self.inner.write_after(tx, &turned, delay, without_relay).await
            }
            _ => self.inner.write_after(tx, messages, delay, without_relay).await,
        }
    }

    fn wake(&self) {
        if !self.is(Fault::WakesNoRelay) {
            self.inner.wake();
        }
    }
}

impl<S: OutboxReader> OutboxReader for FaultyOutbox<S> {
    fn lease<'a>(&'a self, name: &'a str, lease: Duration) -> BoxFuture<'a, Result<Leases, Error>> {
        Box::pin(async move {
            let name = if self.is(Fault::RelaysShareAName) { "relay" } else { name };
            let mut leases = self.inner.lease(name, lease).await?;
            if self.is(Fault::RobsTheLiving) && leases.held.is_empty() {
                leases.held = (0..32).map(|shard| ShardLease { shard, epoch: 1 }).collect();
            }
            if self.is(Fault::EpochsGrowWithEachLease) {
                self.notes().leases += 1;
                let leased = self.notes().leases;
                leases.held.iter_mut().for_each(|lease| lease.epoch += leased);
            }
            Ok(leases)
        })
    }

    fn hand_over<'a>(&'a self, name: &'a str, shards: &'a [ShardLease]) -> BoxFuture<'a, Result<(), Error>> {
        match self.is(Fault::HandsNothingOver) {
            true => Box::pin(async { Ok(()) }),
            false => self.inner.hand_over(name, shards),
        }
    }

    fn pending<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a [ShardRead],
        except: &'a [i64],
        paused: &'a [Arc<str>],
        limit: u32,
    ) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move {
            let mut wanted = wanted.to_vec();
            if self.is(Fault::ReadsOldEpochs) {
                for wanted in &mut wanted {
                    wanted.lease = self.present(name, wanted.lease).await?;
                }
            }
            let except = if self.is(Fault::ReadsWhatIsConfirmed) { &[] } else { except };
            let paused = if self.is(Fault::ReadsWhatIsPaused) { &[] } else { paused };
            let limit = if self.is(Fault::ReadsWithoutALimit) { 100_000 } else { limit };
            let mut page = self.inner.pending(name, &wanted, except, paused, limit).await?;
            for row in &page.rows {
                self.notes().read.insert((row.shard, row.seq), row.entry());
            }
            while self.is(Fault::PagesAreEndless) && page.more {
                let except: Vec<i64> = page.rows.iter().map(|row| row.seq).collect();
                let next = self.inner.pending(name, &wanted, &except, paused, limit).await?;
                (page.more, page.rows) = (next.more, [page.rows, next.rows].concat());
            }
            self.spoil(&mut page);
            Ok(page)
        })
    }

    fn published<'a>(&'a self, rows: &'a [PendingId]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let by_place = |row: &PendingId| {
                let read = self.notes().read.get(&(row.shard, row.seq)).cloned();
                read.filter(|_| self.is(Fault::DeletesByPlace)).unwrap_or_else(|| row.clone())
            };
            let rows: Vec<PendingId> = rows.iter().map(by_place).collect();
            match self.is(Fault::ForgetsWhatIsPublished) {
                true => Ok(()),
                false => self.inner.published(&rows).await,
            }
        })
    }

    fn set_aside<'a>(&'a self, name: &'a str, rejection: &'a Rejection) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let mut rejection = rejection.clone();
            if self.is(Fault::SetsAsideForAnybody) {
                rejection.lease = self.present(name, rejection.lease).await?;
            }
            if self.is(Fault::LosesWhatIsSetAside) {
                self.inner.published(std::slice::from_ref(&rejection.entry)).await?;
            }
            let moved = self.inner.set_aside(name, &rejection).await?;
            Ok(moved + u64::from(self.is(Fault::CountsSetAsideWrongly)))
        })
    }

    fn due(&self) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        match self.is(Fault::NothingIsEverDue) {
            true => Box::pin(async { Ok(None) }),
            false => self.inner.due(),
        }
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        self.inner.woken()
    }
}

impl<S: OutboxReader + RejectedEvents> RejectedEvents for FaultyOutbox<S> {
    fn rejected(
        &self,
        after: i64,
        limit: u32,
        with_waiting: bool,
    ) -> BoxFuture<'_, Result<Vec<RejectedEvent>, Error>> {
        Box::pin(async move {
            let mut events = self.inner.rejected(after, limit, with_waiting).await?;
            if self.is(Fault::HidesWhatTheBrokerSaid) {
                events.iter_mut().for_each(|event| event.error = None);
            }
            Ok(events)
        })
    }

    fn act_on_rejected<'a>(
        &'a self,
        action: RejectedAction,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let acts = if self.is(Fault::DiscardPutsBack) { RejectedAction::Retry } else { action };
            let back = self.inner.act_on_rejected(acts, id, operator).await?;
            let is_short = self.is(Fault::RetriesOneEventOnly) && action == RejectedAction::Retry;
            Ok(if is_short { 1 } else { back })
        })
    }
}

impl<S> fmt::Debug for FaultyOutbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyOutbox").field("fault", &self.fault).finish_non_exhaustive()
    }
}
