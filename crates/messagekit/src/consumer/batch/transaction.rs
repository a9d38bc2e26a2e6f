//! One transaction over a range of messages: claim, handle, park, record the offsets.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::messages::Batch;
use super::steps::Plan;
use crate::consumer::fault::{Fault, handle, store_error_name};
use crate::consumer::lane::{PreparedMessage, key_lane_of};
use crate::consumer::settings::Settings;
use crate::consumer::{ConsumerStats, Delivered};
use crate::handler::{Erased, Input, Task};
use crate::store::{
    self, Attempts, Claim, ClaimRequest, End, FailedMessageRows, Failure, Inbox, Next, NextOffset, Primings,
    ReceivedMessage, SetAsideOutcome, TransactError, TransactionSpans,
};
use crate::{Error, Meta, crash};

/// The result of a transaction.
pub(super) enum TransactionOutcome {
    /// The transaction was committed up to `through`, after the time `took` inside handlers.
    Committed {
        through: usize,
        stats: ConsumerStats,
        failures: Vec<(usize, Failure)>,
        /// By message, if there is an observer.
        outcomes: Vec<(usize, Delivered)>,
        took: Duration,
    },
    /// The handler at `index` failed; nothing was kept.
    Failed { index: usize, fault: Fault },
    /// There is no room to park the message at `index`, a culprit or a message behind one; nothing was kept.
    Full { index: usize, failure: Option<Failure> },
    /// The store failed; nothing was kept, or the outcome is unknown.
    Store { error: Error, handlers_ran: bool },
}

/// Executes a plan.
pub(super) async fn run_transaction<S: Inbox>(
    settings: &Arc<Settings<S>>,
    batch: &Arc<Batch<S>>,
    plan: Plan,
) -> TransactionOutcome {
    let (shared, messages, index) = (Arc::clone(settings), Arc::clone(batch), plan.range.start);
    let span = Span::current();
    let work = settings.store.transact(Box::new(move |mut tx| {
        let applying = async move {
            let end = match BatchTransaction::new(&shared, &messages, plan).apply(&mut tx).await {
                Ok(end) => end,
                Err(outcome) => End::Rollback(outcome),
            };
            if let End::Commit(_) = end {
                messages.spans.commit_begins();
            }
            (tx, end)
        };
        // A store may run it on a thread of its own.
        Box::pin(applying.instrument(span))
    }));
    let Some(ended) = settings.unless_cut_off(work).await else {
        return TransactionOutcome::Failed { index, fault: Fault::CutOff };
    };
    if let Err(TransactError::Unknown(_)) = ended {
        batch.spans.unknown();
    }
    let outcome = match ended {
        Ok(outcome) => outcome,
        Err(TransactError::Begin(error)) => TransactionOutcome::Store { error, handlers_ran: false },
        Err(TransactError::Commit(error) | TransactError::Unknown(error)) => {
            TransactionOutcome::Store { error, handlers_ran: true }
        }
    };
    outcome.end_spans(&batch.spans);
    outcome
}

impl TransactionOutcome {
    /// Ends the spans of the transaction with its outcome.
    fn end_spans(&self, spans: &TransactionSpans) {
        match self {
            Self::Committed { .. } => spans.committed(),
            Self::Failed { fault, .. } => spans.rolled_back(&fault.as_str()),
            Self::Full { .. } => spans.rolled_back(&"no_room"),
            Self::Store { error, .. } => spans.rolled_back(&store_error_name(error)),
        }
    }
}

/// A transaction in progress.
struct BatchTransaction<'a, S: Inbox> {
    settings: &'a Settings<S>,
    batch: &'a Batch<S>,
    plan: Plan,
    requests: Vec<ClaimRequest>,
    claims: Vec<Claim>,
    /// Number of claims whose message ran or needs no run.
    claimed: usize,
    /// The end of the transaction.
    through: usize,
    /// Messages behind an earlier parked one of their key.
    behind: Vec<usize>,
    /// The culprit, which is parked last.
    parks: Option<usize>,
    stats: ConsumerStats,
    /// The messages that became failed messages, and why.
    failures: Vec<(usize, Failure)>,
    outcomes: Vec<(usize, Delivered)>,
    started: Instant,
}

impl<'a, S: Inbox> BatchTransaction<'a, S> {
    fn new(settings: &'a Settings<S>, batch: &'a Batch<S>, mut plan: Plan) -> Self {
        plan.range = batch.one_transaction(settings, plan.range);
        let through = plan.range.end;
        let stats = ConsumerStats { batches: 1, ..ConsumerStats::default() };
        let (requests, claims, behind) = (Vec::new(), Vec::new(), Vec::new());
        let started = Instant::now();
        Self {
            settings,
            batch,
            plan,
            requests,
            claims,
            claimed: 0,
            through,
            behind,
            parks: None,
            stats,
            failures: Vec::new(),
            outcomes: Vec::new(),
            started,
        }
    }

    async fn apply(mut self, tx: &mut S::Tx) -> Result<End<TransactionOutcome>, TransactionOutcome> {
        self.claim(tx).await?;
        self.started = Instant::now();
        let mut index = self.plan.range.start;
        while index < self.through {
            index += self.apply_message(tx, index).await?;
        }
        let took = self.started.elapsed();
        if self.through == self.plan.range.start {
            // The first message is fresh and may not run: the transaction only checked.
            let (through, stats) = (self.through, ConsumerStats::default());
            let (failures, outcomes) = Default::default();
            return Ok(End::Rollback(TransactionOutcome::Committed {
                through,
                stats,
                failures,
                outcomes,
                took,
            }));
        }
        self.unclaim(tx).await?;
        self.park_behind(tx).await?;
        self.park_culprit(tx).await?;
        self.clear_attempts(tx).await?;
        self.advance(tx).await?;
        crash::point("consumer.advanced");
        let Self { through, stats, failures, outcomes, .. } = self;
        Ok(End::Commit(TransactionOutcome::Committed { through, stats, failures, outcomes, took }))
    }

    async fn claim(&mut self, tx: &mut S::Tx) -> Result<(), TransactionOutcome> {
        let (settings, batch) = (self.settings, self.batch);
        let is_claimed = |index: &usize| matches!(batch.task(*index), Task::Handle { .. } | Task::Block(_));
        let claimed = self.plan.range.clone().filter(is_claimed);
        self.requests = claimed.map(|index| settings.claim_of(batch.received(index))).collect();
        if !self.requests.is_empty() {
            let claims = settings.store.claim(tx, &settings.name, &self.requests).await;
            self.claims = claims.map_err(|error| TransactionOutcome::Store { error, handlers_ran: false })?;
        }
        crash::point("consumer.claimed");
        Ok(())
    }

    /// Executes the task of a message, and returns the number of messages that it covered. It may end the transaction before
    /// the message.
    async fn apply_message(&mut self, tx: &mut S::Tx, index: usize) -> Result<usize, TransactionOutcome> {
        let batch = self.batch;
        match batch.task(index) {
            Task::Block(failure) if self.claims[self.claimed] == Claim::Fresh => {
                return Err(TransactionOutcome::Failed { index, fault: Fault::Message(failure.clone()) });
            }
            Task::Block(_) => self.duplicate(index),
            Task::Ignore(_) => {
                self.stats.ignored += 1;
                self.record_outcome(index, || Delivered::Ignored);
            }
            Task::SetAside(failure) => self.set_aside(tx, index, failure).await?,
            Task::Handle { handler, meta } => match self.claims[self.claimed] {
                Claim::Fresh => return self.handle(tx, index, handler, meta).await,
                Claim::KeyBlocked => {
                    self.claimed += 1;
                    self.behind.push(index);
                }
                Claim::Done | Claim::Held | Claim::Discarded => self.duplicate(index),
            },
        }
        Ok(1)
    }

    fn duplicate(&mut self, index: usize) {
        self.claimed += 1;
        self.stats.duplicates += 1;
        self.record_outcome(index, || Delivered::Duplicate);
    }

    /// Notes what becomes of a message with the commit.
    fn record_outcome(&mut self, index: usize, outcome: impl FnOnce() -> Delivered) {
        if !self.settings.observers.is_empty() {
            self.outcomes.push((index, outcome()));
        }
    }

    /// Runs the handler, over several messages if it takes several.
    async fn handle(
        &mut self,
        tx: &mut S::Tx,
        index: usize,
        handler: &Arc<dyn Erased<S>>,
        meta: &Meta,
    ) -> Result<usize, TransactionOutcome> {
        let (batch, handlers) = (self.batch, self.plan.handlers);
        let time_is_up = self.stats.handled > 0 && self.started.elapsed() >= self.settings.rules.batch.time;
        let called = batch.messages[index].call.made();
        // Its marker stood when calls were made, and is gone.
        let has_no_call = handler.first_phase().is_some() && called.is_none();
        if has_no_call {
            batch.messages[index].call.ask_again();
        }
        if time_is_up || has_no_call || !handlers.may_run(index) {
            self.through = index;
            return Ok(0);
        }
        let behind: Vec<Input<'_>> = match handler.takes_several() {
            true => (index + 1..self.plan.range.end)
                .zip(&self.claims[self.claimed + 1..])
                .take_while(|(index, claim)| **claim == Claim::Fresh && handlers.may_run(*index))
                .map_while(|(index, _)| batch.input_of(index, handler))
                .collect(),
            false => Vec::new(),
        };
        let attempt = if index == 0 { batch.first_attempt } else { 1 };
        let first = Input { called, ..Input::new(batch.received(index), meta, attempt) };
        let taken = 1 + behind.len();
        batch.running.store(index, Ordering::Relaxed);
        if let Err((at, fault)) =
            handle(self.settings, (&batch.starts, &batch.spans), tx, handler, first, behind).await
        {
            return Err(TransactionOutcome::Failed { index: index + at, fault });
        }
        crash::point("consumer.handled");
        self.claimed += taken;
        self.stats.handled += taken as u64;
        (index..index + taken).for_each(|index| self.record_outcome(index, || Delivered::Handled));
        Ok(taken)
    }

    async fn set_aside(
        &mut self,
        tx: &mut S::Tx,
        index: usize,
        failure: &Failure,
    ) -> Result<(), TransactionOutcome> {
        let (settings, received) = (self.settings, self.batch.received(index));
        if settings.parks(received, failure) {
            // It is the last of its range, and is parked after the messages behind earlier ones.
            self.parks = Some(index);
            return Ok(());
        }
        let outcome = settings.store.failed_messages().set_aside(tx, &settings.name, received, failure).await;
        let outcome = outcome.map_err(|error| self.broken(error))?;
        self.count(index, outcome, failure);
        crash::point("set_aside.written");
        Ok(())
    }

    /// Claims that did not run must leave the transaction. Otherwise they would commit as done, or as held without a failed
    /// message.
    async fn unclaim(&mut self, tx: &mut S::Tx) -> Result<(), TransactionOutcome> {
        let unused = std::iter::zip(self.requests.drain(..), &self.claims).skip(self.claimed);
        let unused: Vec<ClaimRequest> = unused
            .filter_map(|(request, claim)| {
                matches!(claim, Claim::Fresh | Claim::KeyBlocked).then_some(request)
            })
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        let unclaimed = self.settings.store.unclaim(tx, &self.settings.name, &unused).await;
        unclaimed.map_err(after_handlers)
    }

    async fn park_behind(&mut self, tx: &mut S::Tx) -> Result<(), TransactionOutcome> {
        if self.behind.is_empty() {
            return Ok(());
        }
        let (settings, batch) = (self.settings, self.batch);
        let parked: Vec<&ReceivedMessage> = self.behind.iter().map(|index| batch.received(*index)).collect();
        let fitting =
            settings.store.failed_messages().park_behind(tx, &settings.name, &parked, settings.limits).await;
        let fitting = fitting.map_err(|error| self.broken(error))?;
        if let Some(index) = self.behind.get(fitting) {
            return Err(TransactionOutcome::Full { index: *index, failure: None });
        }
        self.stats.parked += parked.len() as u64;
        for index in std::mem::take(&mut self.behind) {
            self.record_outcome(index, || Delivered::Parked);
        }
        crash::point("set_aside.written");
        Ok(())
    }

    async fn park_culprit(&mut self, tx: &mut S::Tx) -> Result<(), TransactionOutcome> {
        let (settings, batch) = (self.settings, self.batch);
        let culprit = self.parks.and_then(|index| Some((index, batch.failure(index)?)));
        let Some((index, failure)) = culprit else { return Ok(()) };
        let parked = settings.store.failed_messages().park(
            tx,
            &settings.name,
            batch.received(index),
            failure,
            settings.limits,
        );
        match parked.await.map_err(|error| self.broken(error))? {
            SetAsideOutcome::Full => {
                return Err(TransactionOutcome::Full { index, failure: Some(failure.clone()) });
            }
            outcome => self.count(index, outcome, failure),
        }
        crash::point("set_aside.written");
        Ok(())
    }

    async fn clear_attempts(&self, tx: &mut S::Tx) -> Result<(), TransactionOutcome> {
        let finished = self.plan.range.start..self.through;
        let Some(index) = self.plan.clears.filter(|index| finished.contains(index)) else { return Ok(()) };
        let (settings, id) = (self.settings, &self.batch.received(index).id);
        settings.store.attempts().clear_attempts(tx, &settings.name, id).await.map_err(after_handlers)
    }

    async fn advance(&self, tx: &mut S::Tx) -> Result<(), TransactionOutcome> {
        let finished = &self.batch.messages[self.plan.range.start..self.through];
        let mut positions = positions(finished, self.settings.key_lanes);
        if positions.is_empty() {
            return Ok(());
        }
        let Settings { store, name, frontiers, .. } = self.settings;
        if let Some(frontiers) = frontiers {
            frontiers.priming.add_own(&mut positions);
            if let Some(priming) = frontiers.reached(finished.iter().map(|prepared| &prepared.received)) {
                store.primings().write_priming(tx, name, priming).await.map_err(after_handlers)?;
            }
        }
        store.advance(tx, name, &positions).await.map_err(after_handlers)
    }

    fn count(&mut self, index: usize, outcome: SetAsideOutcome, failure: &Failure) {
        if outcome == SetAsideOutcome::SetAside {
            self.failures.push((index, failure.clone()));
            self.record_outcome(index, || Delivered::Failed(failure.clone()));
        } else {
            self.record_outcome(index, || Delivered::Duplicate);
        }
        match outcome {
            SetAsideOutcome::SetAside if failure.next == Next::Dead => self.stats.dead += 1,
            SetAsideOutcome::SetAside => self.stats.set_aside += 1,
            SetAsideOutcome::AlreadySettled | SetAsideOutcome::Full => self.stats.duplicates += 1,
        }
    }

    fn broken(&self, error: Error) -> TransactionOutcome {
        TransactionOutcome::Store { error, handlers_ran: self.stats.handled > 0 }
    }
}

fn after_handlers(error: Error) -> TransactionOutcome {
    TransactionOutcome::Store { error, handlers_ran: true }
}

/// Returns the position behind the last message of each partition.
fn positions<S: store::Store>(
    messages: &[Arc<PreparedMessage<S>>],
    key_lanes: NonZeroU32,
) -> Vec<NextOffset> {
    let mut positions: Vec<NextOffset> = Vec::new();
    for received in messages.iter().map(|prepared| &prepared.received) {
        let Some(position) = &received.position else { continue };
        let next = position.offset + 1;
        match positions
            .iter_mut()
            .find(|known| known.partition == position.partition && known.topic == position.topic)
        {
            Some(known) => known.next = known.next.max(next),
            None => positions.push(NextOffset {
                topic: Arc::clone(&position.topic),
                partition: position.partition,
                key_lane: key_lane_of(&received.message, Some(position), 0, key_lanes),
                next,
            }),
        }
    }
    positions
}
