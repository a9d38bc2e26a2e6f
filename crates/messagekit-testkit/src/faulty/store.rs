//! A store with one fault in its transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use messagekit::adapter::{
    ClaimRequest, End, Markers, OutboxRows, Priming, TransactError, UnhandledType, Work,
};
use messagekit::{Error, ErrorKind, Message, MessageId, Store};
use messagekit_memory::{MemoryStore, MemoryTx};

use super::Fault;
use super::claim_notes::ClaimNotes;

/// A [`MemoryStore`] with one fault or none.
#[derive(Clone)]
pub struct FaultyStore {
    pub(super) inner: MemoryStore,
    pub(super) fault: Option<Fault>,
    pub(super) notes: Arc<Mutex<Notes>>,
}

/// State that the faults keep.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) held: BTreeSet<MessageId>,
    pub(super) unheld: BTreeSet<MessageId>,
    pub(super) resolved: BTreeSet<MessageId>,
    pub(super) tokens: BTreeMap<i64, i64>,
    pub(super) leased: Vec<messagekit::adapter::RetryLease>,
    pub(super) first_lease: bool,
    pub(super) replayed: BTreeSet<i64>,
    pub(super) discarded: BTreeSet<i64>,
    pub(super) undone: BTreeSet<i64>,
    pub(super) handed_back: BTreeSet<i64>,
    /// A parked failed message is dead.
    pub(super) has_died: bool,
    /// The number of parked messages.
    pub(super) arrivals: i64,
    pub(super) replay: Option<(messagekit::operations::ReplayLease, messagekit::operations::ReplayJob)>,
    pub(super) consumers: BTreeSet<String>,
    /// The reported time since which markers are complete.
    pub(super) since: Option<jiff::Timestamp>,
    /// The last priming of each consumer.
    pub(super) primings: BTreeMap<String, Priming>,
    pub(super) unhandled: Vec<UnhandledType>,
    pub(super) newest_markers: BTreeMap<String, Option<jiff::Timestamp>>,
    pub(super) offsets: BTreeMap<(String, Arc<str>, i32, u32), i64>,
    pub(super) claims: ClaimNotes,
}

/// A transaction of a [`FaultyStore`].
pub struct FaultyTx {
    inner: Option<MemoryTx>,
    store: FaultyStore,
    pub(super) claims: Vec<(String, ClaimRequest)>,
    /// The messages that this transaction claimed behind their key.
    pub(super) behind: BTreeSet<MessageId>,
    /// The messages that this transaction appended.
    pub(super) appended: Vec<Message>,
}

impl FaultyTx {
    pub(super) fn inner(&mut self) -> &mut MemoryTx {
        self.inner.as_mut().expect("it is taken only at the end")
    }

    /// Returns whether this transaction has claimed a message as fresh.
    pub(super) fn has_claimed(&self, id: &MessageId) -> bool {
        self.claims.iter().any(|(_, claim)| claim.id == *id)
    }
}

impl FaultyStore {
    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self, mut tx: FaultyTx, keep: bool) -> Result<(), Error> {
        let late = std::mem::take(&mut tx.claims);
        let mut inner = tx.inner.take().expect("it is taken only here and by drop");
        if !keep {
            let appended = std::mem::take(&mut tx.appended);
            if self.is(Fault::RollbackTakesAnOffset) && !appended.is_empty() {
                let mut other = self.inner.begin().await?;
                self.inner.write(&mut other, &appended).await?;
                self.inner.commit(other).await?;
            }
            return self.inner.rollback(inner).await;
        }
        if self.is(Fault::ClaimLooksFirst) {
            for (consumer, claim) in late {
                self.inner.claim(&mut inner, &consumer, &[claim]).await?;
            }
        }
        let committed = self.inner.commit(inner).await;
        match committed {
            Err(error) if self.is(Fault::CommitHidesAborted) && error.kind() == ErrorKind::Aborted => Ok(()),
            committed => committed,
        }
    }
}

impl Store for FaultyStore {
    type Tx = FaultyTx;

    async fn begin(&self) -> Result<FaultyTx, Error> {
        Ok(FaultyTx {
            inner: Some(self.inner.begin().await?),
            store: self.clone(),
            claims: Vec::new(),
            behind: BTreeSet::new(),
            appended: Vec::new(),
        })
    }

    async fn commit(&self, tx: FaultyTx) -> Result<(), Error> {
        self.end(tx, !self.is(Fault::CommitRollsBack)).await
    }

    async fn rollback(&self, tx: FaultyTx) -> Result<(), Error> {
        self.end(tx, self.is(Fault::RollbackCommits)).await
    }

    async fn transact<R: Send + 'static>(&self, work: Work<FaultyTx, R>) -> Result<R, TransactError> {
        let hidden = self.is(Fault::TransactHidesBegin);
        let tx =
            self.begin().await.map_err(if hidden { TransactError::Commit } else { TransactError::Begin })?;
        let (tx, keep, result) = match work(tx).await {
            (tx, End::Commit(result)) => (tx, !self.is(Fault::TransactForgetsCommits), result),
            (tx, End::Rollback(result)) => (tx, self.is(Fault::TransactKeepsRollbacks), result),
        };
        let refused = if self.is(Fault::TransactHidesRefusals) {
            TransactError::Unknown
        } else {
            TransactError::Commit
        };
        self.end(tx, keep).await.map_err(refused)?;
        Ok(result)
    }
}

impl Drop for FaultyTx {
    fn drop(&mut self) {
        let commits = matches!(self.store.fault, Some(Fault::DropCommits | Fault::DroppedTransactCommits));
        if commits && let Some(tx) = self.inner.take() {
            // An in-memory store answers at the first poll.
            let committed = pin!(self.store.inner.commit(tx)).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(committed, Poll::Ready(_)));
        }
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl fmt::Debug for FaultyTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyTx").field("fault", &self.store.fault).finish_non_exhaustive()
    }
}
