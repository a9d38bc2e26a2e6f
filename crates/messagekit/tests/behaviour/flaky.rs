//! A store with calls that a test can disable, enable or slow down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{
    Attempts, ClaimRequest, FailedMessageRows, Failure, Follower, Markers, NextOffset, Positions, Priming,
    Primings, ReceivedMessage, Retries, RetryLease, SetAsideOutcome, UnhandledType,
};
use messagekit::{Claim, Error, ErrorKind, MessageId, ParkingLimits, Store};
use messagekit_memory::{MemoryStore, MemoryTx};

/// A call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Begin,
    Claim,
    Advance,
    SetAside,
    Commit,
    Lease,
    Resolve,
    Fail,
    HandBack,
    NextOf,
    NoteWindow,
    NoteUnhandled,
    BeginAttempt,
    WithdrawAttempt,
    ClearFinishedAttempts,
}

/// A store handle with injected failures.
#[derive(Clone)]
pub(crate) struct Flaky {
    inner: MemoryStore,
    down: Arc<Mutex<BTreeMap<Call, ErrorKind>>>,
    hung: Arc<Mutex<BTreeSet<Call>>>,
    slow: Arc<AtomicBool>,
    rollbacks_take: Arc<Mutex<Duration>>,
    short_leases: Arc<AtomicBool>,
    commits_in_flight: Arc<AtomicUsize>,
    calls: Arc<Mutex<BTreeMap<Call, usize>>>,
}

impl Flaky {
    pub(crate) fn new(inner: &MemoryStore) -> Self {
        let (down, hung, slow, rollbacks_take, short_leases, commits_in_flight, calls) = Default::default();
        let inner = inner.clone();
        Self { inner, down, hung, slow, rollbacks_take, short_leases, commits_in_flight, calls }
    }

    /// Makes every call of this kind fail until [`heal`](Self::heal).
    pub(crate) fn fail(&self, call: Call, kind: ErrorKind) {
        self.down.lock().expect("switches").insert(call, kind);
    }

    /// Makes every call of this kind wait for ever.
    pub(crate) fn hang(&self, call: Call) {
        self.hung.lock().expect("switches").insert(call);
    }

    pub(crate) fn heal(&self) {
        self.down.lock().expect("switches").clear();
        self.hung.lock().expect("switches").clear();
    }

    /// Makes every call wait before and after, so a dropped future may stop at these points too.
    pub(crate) fn slow(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }

    /// Sets the duration of every rollback, as behind a statement that the server still executes.
    pub(crate) fn rollbacks_take(&self, time: Duration) {
        *self.rollbacks_take.lock().expect("a time") = time;
    }

    /// Returns the number of started commits that were not awaited to their end.
    pub(crate) fn commits_in_flight(&self) -> usize {
        self.commits_in_flight.load(Ordering::Relaxed)
    }

    /// Shortens leases to a second, as for a process suspended for longer than its lease.
    pub(crate) fn shorten_leases(&self) {
        self.short_leases.store(true, Ordering::Relaxed);
    }

    /// Returns the number of calls of this kind.
    pub(crate) fn calls(&self, call: Call) -> usize {
        self.calls.lock().expect("counts").get(&call).copied().unwrap_or_default()
    }

    async fn call<R>(&self, call: Call, act: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
        *self.calls.lock().expect("counts").entry(call).or_default() += 1;
        self.wait().await;
        let is_hung = self.hung.lock().expect("switches").contains(&call);
        if is_hung {
            std::future::pending::<()>().await;
        }
        let down = self.down.lock().expect("switches").get(&call).copied();
        if let Some(kind) = down {
            return Err(Error::new(kind, "the store is out of order").with("call", format!("{call:?}")));
        }
        let answer = act.await;
        self.wait().await;
        answer
    }

    async fn wait(&self) {
        if self.slow.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }
}

impl Store for Flaky {
    type Tx = MemoryTx;

    async fn begin(&self) -> Result<MemoryTx, Error> {
        self.call(Call::Begin, self.inner.begin()).await
    }

    async fn commit(&self, tx: MemoryTx) -> Result<(), Error> {
        self.commits_in_flight.fetch_add(1, Ordering::Relaxed);
        let committed = self.call(Call::Commit, self.inner.commit(tx)).await;
        self.commits_in_flight.fetch_sub(1, Ordering::Relaxed);
        committed
    }

    async fn rollback(&self, tx: MemoryTx) -> Result<(), Error> {
        self.wait().await;
        let time = *self.rollbacks_take.lock().expect("a time");
        tokio::time::sleep(time).await;
        self.inner.rollback(tx).await
    }
}

impl Markers for Flaky {
    async fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        self.call(Call::NoteWindow, self.inner.note_window(consumer, window)).await
    }

    async fn claim(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        batch: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        self.call(Call::Claim, self.inner.claim(tx, consumer, batch)).await
    }

    async fn unclaim(&self, tx: &mut MemoryTx, consumer: &str, batch: &[ClaimRequest]) -> Result<(), Error> {
        self.wait().await;
        self.inner.unclaim(tx, consumer, batch).await
    }
}

impl Positions for Flaky {
    async fn note_unhandled(&self, consumer: &str, types: &[UnhandledType]) -> Result<(), Error> {
        self.call(Call::NoteUnhandled, self.inner.note_unhandled(consumer, types)).await
    }

    async fn advance(&self, tx: &mut MemoryTx, consumer: &str, next: &[NextOffset]) -> Result<(), Error> {
        self.call(Call::Advance, self.inner.advance(tx, consumer, next)).await
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        self.call(Call::NextOf, self.inner.next_of(consumer, topic)).await
    }
}

impl FailedMessageRows<MemoryTx> for Flaky {
    async fn oldest_return(&self, topics: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        self.inner.oldest_return(topics).await
    }

    async fn set_aside(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        self.call(Call::SetAside, self.inner.set_aside(tx, consumer, received, failure)).await
    }

    async fn park(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        self.call(Call::SetAside, self.inner.park(tx, consumer, received, failure, limits)).await
    }

    async fn park_behind(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> Result<usize, Error> {
        self.call(Call::SetAside, self.inner.park_behind(tx, consumer, behind, limits)).await
    }
}

impl Retries<MemoryTx> for Flaky {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<RetryLease>, Error> {
        let is_short = self.short_leases.load(Ordering::Relaxed);
        let lease = if is_short { Duration::from_secs(1) } else { lease };
        self.call(Call::Lease, self.inner.lease(consumer, max, lease)).await
    }

    async fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> Result<Option<u32>, Error> {
        self.call(Call::Lease, self.inner.begin_run(consumer, leased, most, lease)).await
    }

    async fn followers(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Result<Vec<Follower>, Error> {
        self.call(Call::Resolve, self.inner.followers(tx, consumer, failed_message, messages, bytes)).await
    }

    async fn resolve(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> Result<bool, Error> {
        self.call(Call::Resolve, self.inner.resolve(tx, consumer, leased, followers)).await
    }

    async fn fail(&self, consumer: &str, leased: &RetryLease, failure: &Failure) -> Result<bool, Error> {
        self.call(Call::Fail, self.inner.fail(consumer, leased, failure)).await
    }

    async fn hand_back(&self, consumer: &str, leased: &RetryLease, delay: Duration) -> Result<bool, Error> {
        self.call(Call::HandBack, self.inner.hand_back(consumer, leased, delay)).await
    }
}

impl Attempts<MemoryTx> for Flaky {
    async fn begin_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<u32, Error> {
        self.call(Call::BeginAttempt, self.inner.begin_attempt(consumer, message, by)).await
    }

    async fn clear_attempts(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        message: &MessageId,
    ) -> Result<(), Error> {
        self.wait().await;
        self.inner.clear_attempts(tx, consumer, message).await
    }

    async fn withdraw_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<(), Error> {
        self.call(Call::WithdrawAttempt, self.inner.withdraw_attempt(consumer, message, by)).await
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        self.call(Call::ClearFinishedAttempts, self.inner.clear_finished_attempts(consumer)).await
    }
}

impl Primings<MemoryTx> for Flaky {
    async fn priming(&self, consumer: &str) -> Result<Option<Priming>, Error> {
        self.inner.priming(consumer).await
    }

    async fn begin_priming(&self, tx: &mut MemoryTx, consumer: &str, after: u32) -> Result<bool, Error> {
        self.inner.begin_priming(tx, consumer, after).await
    }

    async fn write_priming(&self, tx: &mut MemoryTx, consumer: &str, priming: Priming) -> Result<(), Error> {
        self.inner.write_priming(tx, consumer, priming).await
    }
}
