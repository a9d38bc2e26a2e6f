//! A store with one fault.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{
    Attempts, Bookkeeping, BoxFuture, BrokerDeadLetter, ClaimRequest, End, FailedMessageRows, Failure,
    Follower, Markers, NextOffset, OutboxRows, Positions, Priming, Primings, ReceivedMessage, Redelivery,
    Retries, RetryLease, SetAsideOutcome, TransactError, UnhandledType, WithoutRelay, Work,
};
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupStep};
use messagekit::log::{Bounds, Log, LogReader, PartitionStart, Record};
use messagekit::operations::{
    Action, ActionOrder, ActionResult, Audit, AuditFilter, AuditRecord, ChosenMessages, ConsumerStatus,
    DatabaseStatus, Doctor, EventCursor, EventFilter, EventHead, EventHistory, EventRecord, FailedMessage,
    FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageState, FailedMessageTotal,
    FailedMessageVersion, FailedMessages, LinkedEvent, Operator, Origin, OutboxHealth, OutboxLag,
    OutboxStatus, ReplayCount, ReplayJob, ReplayLease, ReplayOrder, Replays, Republication, SourceState,
    UnpublishedEvent,
};
use messagekit::{Claim, Error, Message, MessageId, ParkingLimits, Store};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_topic_store::{
    ClaimHolder, ClaimPartitions, ClaimWindow, LeaseOf, LeasedMessage, RecordClaims,
};

use super::methods::{argument, methods};

/// What a store does wrong.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(super) arguments: Arguments,
    pub(super) calls: Calls,
    pub(super) answers: Answers,
    pub(super) commit: for<'a> fn(&'a FaultyStore, FaultyTx) -> BoxFuture<'a, Result<(), Error>>,
    pub(super) rollback: for<'a> fn(&'a FaultyStore, FaultyTx) -> BoxFuture<'a, Result<(), Error>>,
    pub(super) drop: fn(&FaultyStore, MemoryTx),
    /// Whether work is committed that ends with a commit, or with a rollback.
    pub(super) keeps: fn(bool) -> bool,
    pub(super) begin_error: fn(Error) -> TransactError,
    pub(super) commit_error: fn(Error) -> TransactError,
    /// What the log shows of the events that were published.
    pub(super) events: fn(&mut Vec<Message>),
    pub(super) audit: fn(&mut Vec<messagekit_testkit::store::Audited>),
}

impl Fault {
    pub(super) const NONE: Self = Self {
        arguments: Arguments::RIGHT,
        calls: Calls { apply: |faulty, order| faulty.noting(order), ..Calls::RIGHT },
        answers: Answers::RIGHT,
        commit: |faulty, mut tx| Box::pin(faulty.inner.commit(tx.take())),
        rollback: |faulty, mut tx| Box::pin(faulty.inner.rollback(tx.take())),
        drop: |_, _| (),
        keeps: |keeps| keeps,
        begin_error: TransactError::Begin,
        commit_error: TransactError::Commit,
        events: |_| (),
        audit: |_| (),
    };
}

/// A store that is right.
pub(super) static RIGHT: Fault = Fault::NONE;

/// A [`MemoryStore`] with one fault or none.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    pub(super) inner: MemoryStore,
    pub(super) fault: &'static Fault,
    pub(super) notes: Arc<Mutex<Notes>>,
}

/// What a fault remembers. A store has one fault, which uses what it needs.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) acts: HashSet<(Action, i64)>,
    pub(super) ids: BTreeSet<MessageId>,
    pub(super) numbers: BTreeMap<i64, i64>,
    pub(super) names: BTreeSet<String>,
    pub(super) count: i64,
    pub(super) leased: Option<Vec<RetryLease>>,
    pub(super) replay: Option<(ReplayLease, ReplayJob)>,
    pub(super) time: Option<Timestamp>,
    pub(super) times: BTreeMap<String, Option<Timestamp>>,
    pub(super) primings: BTreeMap<String, Priming>,
    pub(super) unhandled: Vec<UnhandledType>,
    pub(super) offsets: BTreeMap<Arc<str>, i64>,
    pub(super) windows: BTreeMap<(ClaimHolder, String, Arc<str>), ClaimWindow>,
}

/// A transaction of a [`FaultyStore`].
pub(crate) struct FaultyTx {
    inner: Option<MemoryTx>,
    store: FaultyStore,
    pub(super) claims: Vec<(String, ClaimRequest)>,
    pub(super) appended: Vec<Message>,
}

impl FaultyTx {
    pub(crate) fn inner(&mut self) -> &mut MemoryTx {
        self.inner.as_mut().expect("it is taken only at the end")
    }

    pub(super) fn take(&mut self) -> MemoryTx {
        self.inner.take().expect("it is taken only at the end and by drop")
    }
}

impl Drop for FaultyTx {
    fn drop(&mut self) {
        if let Some(tx) = self.inner.take() {
            (self.store.fault.drop)(&self.store, tx);
        }
    }
}

impl FaultyStore {
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries an action out, and notes on which messages.
    pub(super) fn noting<'a>(
        &'a self,
        order: ActionOrder<'a>,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        let ids = chosen(&order).iter().map(|id| (order.action, *id));
        self.notes().acts.extend(ids);
        self.inner.apply(order)
    }

    /// Returns whether an operator acted so on a message.
    pub(super) fn has(&self, action: Action, id: i64) -> bool {
        self.notes().acts.contains(&(action, id))
    }

    /// Returns whether an operator acted so on any message.
    pub(super) fn has_any(&self, action: Action) -> bool {
        self.notes().acts.iter().any(|(acted, _)| *acted == action)
    }

    /// Commits a transaction without waiting: an in-memory store answers at the first poll.
    pub(super) fn commit_now(&self, tx: MemoryTx) {
        let committed = pin!(self.inner.commit(tx)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(committed, Poll::Ready(_)));
    }

    async fn end(&self, tx: FaultyTx, keep: bool) -> Result<(), Error> {
        if keep { self.commit(tx).await } else { self.rollback(tx).await }
    }
}

/// Returns the messages that an order names by their numbers.
pub(super) fn chosen<'a>(order: &ActionOrder<'a>) -> &'a [i64] {
    match order.messages {
        ChosenMessages::Ids(ids) => ids,
        ChosenMessages::Batch(_) => &[],
    }
}

impl Store for FaultyStore {
    type Tx = FaultyTx;

    async fn begin(&self) -> Result<FaultyTx, Error> {
        let inner = Some(self.inner.begin().await?);
        Ok(FaultyTx { inner, store: self.clone(), claims: Vec::new(), appended: Vec::new() })
    }

    async fn commit(&self, tx: FaultyTx) -> Result<(), Error> {
        (self.fault.commit)(self, tx).await
    }

    async fn rollback(&self, tx: FaultyTx) -> Result<(), Error> {
        (self.fault.rollback)(self, tx).await
    }

    async fn transact<R: Send + 'static>(&self, work: Work<FaultyTx, R>) -> Result<R, TransactError> {
        let tx = self.begin().await.map_err(self.fault.begin_error)?;
        let (tx, keep, result) = match work(tx).await {
            (tx, End::Commit(result)) => (tx, true, result),
            (tx, End::Rollback(result)) => (tx, false, result),
        };
        self.end(tx, (self.fault.keeps)(keep)).await.map_err(self.fault.commit_error)?;
        Ok(result)
    }
}

impl Doctor for FaultyStore {}

methods! {
    FaultyStore over FaultyTx;
    Markers {
        note_window(consumer: (&str), window: (Option<Duration>)) -> Option<Timestamp>;
        claim(&tx; consumer: (&str), requests: (&[ClaimRequest])) -> Vec<Claim>;
        unclaim(&tx; consumer: (&str), requests: (&[ClaimRequest])) -> ();
    }
    Positions {
        note_unhandled(consumer: (&str), types: (&[UnhandledType])) -> ();
        advance(&tx; consumer: (&str), positions: (&[NextOffset])) -> ();
        next_of(consumer: (&str), topic: (&str)) -> Vec<NextOffset>;
    }
    FailedMessageRows<FaultyTx> {
        oldest_return(topics: (&[Arc<str>])) -> Option<Duration>;
        set_aside(&tx; consumer: (&str), received: (&ReceivedMessage), failure: (&Failure)) -> SetAsideOutcome;
        park(
            &tx; consumer: (&str), received: (&ReceivedMessage), failure: (&Failure), limits: (ParkingLimits)
        ) -> SetAsideOutcome;
        park_behind(&tx; consumer: (&str), behind: (&[&ReceivedMessage]), limits: (ParkingLimits)) -> usize;
    }
    Retries<FaultyTx> {
        lease(consumer: (&str), max: (u32), lease: (Duration)) -> Vec<RetryLease>;
        begin_run(consumer: (&str), leased: (&RetryLease), most: (u32), lease: (Duration)) -> Option<u32>;
        followers(
            &tx; consumer: (&str), failed_message: (i64), messages: (u32), bytes: (u64)
        ) -> Vec<Follower>;
        resolve(&tx; consumer: (&str), leased: (&RetryLease), followers: (&[Follower])) -> bool;
        fail(consumer: (&str), leased: (&RetryLease), failure: (&Failure)) -> bool;
        hand_back(consumer: (&str), leased: (&RetryLease), delay: (Duration)) -> bool;
    }
    Attempts<FaultyTx> {
        begin_attempt(consumer: (&str), message: (&MessageId), by: (&str)) -> u32;
        clear_attempts(&tx; consumer: (&str), message: (&MessageId)) -> ();
        withdraw_attempt(consumer: (&str), message: (&MessageId), by: (&str)) -> ();
        clear_finished_attempts(consumer: (&str)) -> ();
    }
    Primings<FaultyTx> {
        priming(consumer: (&str)) -> Option<Priming>;
        begin_priming(&tx; consumer: (&str), after: (u32)) -> bool;
        write_priming(&tx; consumer: (&str), priming: (Priming)) -> ();
    }
    Bookkeeping {
        keep(&tx; found: (&BrokerDeadLetter)) -> SetAsideOutcome;
        note_failure(&tx; event_id: (&MessageId), scope: (&str), reason: (&str)) -> bool;
        lease_returns(origin: (Origin), max: (u32), lease: (Duration)) -> Vec<Redelivery>;
    }
    OutboxRows {
        write(&tx; messages: (&[Message])) -> ();
        write_after(&tx; messages: (&[Message]), delay: (Duration), without_relay: (WithoutRelay)) -> ();
        + fn wake(&self) {
            self.inner.wake();
        }
    }
    RecordClaims {
        claim_holder() -> ClaimHolder;
        ended_holders(holders: (&[ClaimHolder])) -> Vec<ClaimHolder>;
        claim_partitions(&tx; consumer: (&str), topic: (&Arc<str>)) -> ClaimPartitions;
        write_claim_window(
            &tx; consumer: (&str), topic: (&Arc<str>), partition: (i32), window: (&ClaimWindow)
        ) -> ();
        record_keys(
            &tx; topic: (&Arc<str>), partition: (i32), offsets: (&[std::ops::Range<i64>])
        ) -> Vec<(i64, bytes::Bytes)>;
        lease_failed(
            consumer: (&str), topic: (&Arc<str>), partition: (Option<i32>), lease: (Duration)
        ) -> Option<LeasedMessage>;
        leased_failed(&tx; consumer: (&str), of: (&LeaseOf)) -> Option<LeasedMessage>;
        read_claimed(
            topic: (&Arc<str>), partition: (i32), offsets: (std::ops::Range<i64>), max_bytes: (usize)
        ) -> Vec<Record>;
    };
    FailedMessages {
        list(filter: (&FailedMessageFilter), limit: (u32)) -> Vec<FailedMessageHead>;
        versions(filter: (&FailedMessageFilter), limit: (u32)) -> Vec<FailedMessageVersion>;
        show(id: (i64)) -> FailedMessage;
        totals(filter: (&FailedMessageFilter)) -> Vec<FailedMessageTotal>;
        groups(filter: (&FailedMessageFilter), limit: (u32)) -> Vec<FailedMessageGroup>;
        apply(order: (ActionOrder<'a>)) -> Vec<ActionResult>;
        act_on(action: (Action), id: (i64), by: (&Operator)) -> FailedMessageState;
    }
    EventHistory {
        event_record(id: (&MessageId)) -> EventRecord;
        linked_events(ids: (&[MessageId]), causes: (&[MessageId]), limit: (u32)) -> Vec<LinkedEvent>;
        correlated_events(correlation: (&MessageId), limit: (u32)) -> Vec<LinkedEvent>;
        unpublished_events(limit: (u32)) -> Vec<UnpublishedEvent>;
    }
    Replays {
        events(filter: (&EventFilter), after: (Option<&'a EventCursor>), limit: (u32)) -> Vec<EventHead>;
        replay_count(filter: (&EventFilter)) -> ReplayCount;
        order_replay(order: (&ReplayOrder), by: (&Operator)) -> ReplayJob;
        replay(id: (i64)) -> ReplayJob;
        replays(before: (Option<i64>), limit: (u32)) -> Vec<ReplayJob>;
        cancel_replay(id: (i64), by: (&Operator)) -> ();
        lease_replay(lease: (Duration)) -> Option<(ReplayLease, ReplayJob)>;
        replay_step(
            lease: (ReplayLease), max: (u32), extend: (Duration), renamed: (Republication<'a>)
        ) -> Option<ReplayJob>;
    }
    Audit {
        audit_records(filter: (&AuditFilter), limit: (u32)) -> Vec<AuditRecord>;
    }
    DatabaseStatus {
        outbox_status() -> OutboxStatus;
        consumer_statuses() -> Vec<ConsumerStatus>;
        last_seen(consumer: (&str)) -> Option<Duration>;
    }
    OutboxHealth {
        ping() -> ();
        lag() -> OutboxLag;
        source_states() -> Vec<SourceState>;
        checkpoint(every: (Duration)) -> ();
    }
    Cleanup {
        remove_step(request: (CleanupRequest<'a>)) -> CleanupStep;
    }
    Log {
        bounds(topic: (&str)) -> Vec<Bounds>;
        offsets_at(topic: (&str), time: (Timestamp)) -> Vec<(i32, i64)>;
        committed_offsets(topic: (&str), consumer: (&str)) -> Vec<(i32, i64)>;
        open(topic: (&Arc<str>), partitions: (&[(i32, PartitionStart)])) -> Box<dyn LogReader>;
    }
}
