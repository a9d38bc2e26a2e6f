//! The loop: one poll function over the subscriber, the turns under way, the gates and the timers.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use tokio::task::{JoinError, JoinSet};

use super::batch::Entry;
use super::bind::bind;
use super::caution::Care;
use super::lanes::{LaneState, Window, Working};
use super::reach::watch;
use super::retry::{Retried, retry};
use super::retry_timer::RetryTimer;
use super::settings::{CUT_OFF, DRAIN, FIRST_WATCH, LONGEST_WATCH, Settings};
use super::strands::Strands;
use super::turn::{After, Item, Manner, Turn, turn};
use super::{Backoff, OnFailure};
use crate::crash;
use crate::gate::{BatchView, Gates, Pass};
use crate::store::{Inbox, ParkingRoom, Store};
use crate::transport::{Delivery, Incoming, Lane, Receipt, Source, Subscriber};
use crate::{Error, ErrorKind, chain};

/// Asks the gates for due letters; no subscriber has a lane of this slot.
const RETRIES: Lane = Lane { slot: u32::MAX, epoch: 0 };

pub(super) async fn run<S: Inbox, Src: Source>(
    settings: Settings<S>,
    source: Src,
    gates: Gates,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut shutdown = pin!(shutdown);
    let (topics, retention) = (source.topics().to_vec(), source.retention());
    let Some(bound) = or_shutdown(bind(&settings, source), shutdown.as_mut()).await else { return Ok(()) };
    let subscriber = Strands::new(bound?, settings.key_lanes);
    crash::point("consumer.bound");
    let mut running = Running::new(settings, subscriber, gates);
    let mut watching = pin!(watch(Arc::clone(&running.settings), topics, retention));
    let outcome = poll_fn(|cx| match (shutdown.as_mut().poll(cx), watching.as_mut().poll(cx)) {
        (Poll::Ready(()), _) => Poll::Ready(Ok(())),
        (Poll::Pending, _) => running.poll(cx).map(Err),
    })
    .await;
    running.stop();
    let mut drained = tokio::time::timeout(DRAIN, poll_fn(|cx| running.poll_drained(cx))).await;
    if drained.is_err() {
        // Whoever is only aborted takes neither its note nor its lease back, and this stop would count as a death.
        running.settings.cut_off.request();
        drained = tokio::time::timeout(CUT_OFF, poll_fn(|cx| running.poll_drained(cx))).await;
    }
    let drained = drained.unwrap_or(Ok(()));
    running.turns.abort_all();
    let closed = poll_fn(|cx| running.subscriber.poll_close(cx)).await;
    outcome.and(drained).and(closed)
}

async fn or_shutdown<T>(
    work: impl Future<Output = T>,
    shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = shutdown => None,
        done = work => Some(done),
    }
}

enum Ended<S: Store> {
    Turn(Lane, Turn<S>),
    Retry(Retried),
}

struct Running<S: Store, Sub> {
    settings: Arc<Settings<S>>,
    subscriber: Sub,
    gates: Gates,
    lanes: BTreeMap<Lane, LaneState<S>>,
    turns: JoinSet<Ended<S>>,
    /// The lane that was admitted last: the next one is asked first, else one lane eats a rate limit.
    last_admitted: Option<Lane>,
    /// The turn under way is a cautious one: nothing else runs beside it, so that a death has one culprit.
    alone: bool,
    retries: Retries,
    settled: Vec<Receipt>,
    released: Vec<Receipt>,
    stopping: bool,
}

/// Running letters again.
struct Retries {
    timer: RetryTimer,
    working: Option<Pass>,
    /// A lane was admitted since the last letter: letters are asked first, else a backlog behind a narrow gate would keep
    /// them waiting for ever.
    first: bool,
}

impl<S: Inbox, Sub: Subscriber> Running<S, Sub> {
    fn new(settings: Settings<S>, subscriber: Sub, gates: Gates) -> Self {
        Self {
            settings: Arc::new(settings),
            subscriber,
            gates,
            lanes: BTreeMap::new(),
            turns: JoinSet::new(),
            last_admitted: None,
            alone: false,
            retries: Retries { timer: RetryTimer::new(), working: None, first: false },
            settled: Vec::new(),
            released: Vec::new(),
            stopping: false,
        }
    }

    /// Goes on until something cannot; ready only with the error that ends the consumer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let mut moved = false;
            while let Poll::Ready(Some(ended)) = self.turns.poll_join_next(cx) {
                if let Err(error) = self.ended(ended) {
                    return Poll::Ready(error);
                }
                moved = true;
            }
            while let Poll::Ready(incoming) = self.subscriber.poll_next(cx) {
                match incoming {
                    Some(Ok(incoming)) => {
                        self.settings.stats.trouble(None);
                        self.incoming(incoming);
                    }
                    Some(Err(error)) if error.is_transient() => {
                        self.settings.stats.trouble(Some(&error));
                        tracing::warn!(consumer = &*self.settings.name, error = %chain(&error), "source");
                    }
                    Some(Err(error)) => return Poll::Ready(error),
                    None => return Poll::Ready(Error::new(ErrorKind::Closed, "source ended by itself")),
                }
                moved = true;
            }
            if !self.stopping {
                moved |= self.retries.first && self.start_retry(cx);
                moved |= self.start_turns(cx);
                moved |= self.start_retry(cx);
            }
            self.hand_over();
            let blocks = |state: &&LaneState<S>| {
                state.full > 0 || state.blocked > 0 && self.settings.on_failure == OnFailure::Block
            };
            let lanes = self.lanes.len() / self.settings.key_lanes.get() as usize;
            self.settings.stats.assigned(lanes, self.lanes.values().filter(blocks).count());
            self.gates.look();
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Stops between transactions and gives back what waits.
    fn stop(&mut self) {
        self.stopping = true;
        for (lane, state) in &mut self.lanes {
            state.stop();
            // Else what is given back would be delivered here again, for ever.
            self.subscriber.pause(*lane);
            self.released.extend(state.give_up());
        }
        self.hand_over();
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Poll::Ready(error) = self.poll(cx) {
            return Poll::Ready(Err(error));
        }
        if self.turns.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Assigned { lane, name } => {
                tracing::debug!(consumer = &*self.settings.name, ?lane, %name, "assigned");
                let mut state = LaneState::new(&name, self.settings.batch.messages.get());
                if self.stopping {
                    state.given_up = true;
                    self.subscriber.pause(lane);
                }
                self.lanes.insert(lane, state);
            }
            Incoming::Message(delivery) => self.delivered(delivery),
            Incoming::Revoking { lane, done } => {
                let Some(state) = self.lanes.get_mut(&lane) else { return };
                self.subscriber.pause(lane);
                self.released.extend(state.give_up());
                state.stop();
                if state.working.is_some() {
                    state.revoking = Some(done);
                } else {
                    // Settled and released receipts must arrive before the lane is free.
                    self.hand_over();
                    self.lanes.remove(&lane);
                    drop(done);
                }
            }
            Incoming::Lost { lane } => {
                tracing::debug!(consumer = &*self.settings.name, ?lane, "lost");
                // A turn under way rolls back or commits; either way its receipts say nothing any more.
                if let Some(state) = self.lanes.remove(&lane) {
                    state.stop();
                }
            }
        }
    }

    fn delivered(&mut self, delivery: Delivery) {
        let lane = delivery.receipt.lane();
        let Some(state) = self.lanes.get_mut(&lane).filter(|state| !state.given_up) else {
            self.released.push(delivery.receipt);
            return;
        };
        let (received, task) = self.settings.router.prepare(delivery.message, delivery.place);
        let item = Item { receipt: delivery.receipt, entry: Arc::new(Entry { received, task }) };
        if let Window::Pause = state.push(item) {
            self.subscriber.pause(lane);
        }
    }

    /// Starts a turn in every lane that has something and that the gates admit. A cautious lane waits until nothing else runs,
    /// and nothing else starts beside it.
    fn start_turns(&mut self, cx: &mut Context<'_>) -> bool {
        if self.alone {
            return false;
        }
        let after =
            |last: &Lane| self.lanes.keys().copied().filter(move |lane| lane > last).collect::<Vec<_>>();
        let mut order = self.last_admitted.as_ref().map(after).unwrap_or_default();
        order.extend(
            self.lanes.keys().copied().filter(|lane| self.last_admitted.is_none_or(|last| *lane <= last)),
        );
        let mut started = false;
        for lane in order {
            let Some(state) = self.lanes.get_mut(&lane).filter(|state| state.working.is_none()) else {
                continue;
            };
            if !state.is_ready(cx) {
                continue;
            }
            let care = state.care();
            let cautious = care == Care::OneByOne;
            if cautious && !self.turns.is_empty() {
                break;
            }
            let view = BatchView { lane, messages: state.ready_messages(), bytes: state.ready_bytes() };
            let Poll::Ready((pass, granted)) = self.gates.poll_admit(&view, cx) else { break };
            let (items, window) = state.take(granted);
            if let Window::Resume = window {
                self.subscriber.resume(lane);
            }
            let stop = Arc::new(AtomicBool::new(false));
            let (first_attempt, doubtful) = (state.blocked + 1, state.is_doubtful());
            let (watched, (first, left)) = (state.watched.take(), state.first());
            let manner = Manner { first_attempt, care, first, left, doubtful, fits: state.fits, watched };
            let working = turn(Arc::clone(&self.settings), items, manner, Arc::clone(&stop));
            state.working = Some(Working { stop, pass });
            self.turns.spawn(async move { Ended::Turn(lane, working.await) });
            self.last_admitted = Some(lane);
            self.retries.first = true;
            started = true;
            self.alone = cautious;
            if cautious {
                break;
            }
        }
        started
    }

    /// Looks for a due letter when it is time and the gates admit. A process without a lane stands by.
    fn start_retry(&mut self, cx: &mut Context<'_>) -> bool {
        if self.alone
            || self.retries.working.is_some()
            || self.lanes.is_empty()
            || !self.retries.timer.is_due(cx)
        {
            return false;
        }
        let view = BatchView { lane: RETRIES, messages: 1, bytes: 0 };
        let Poll::Ready((pass, _)) = self.gates.poll_admit(&view, cx) else { return false };
        self.retries.timer.look_begins();
        (self.retries.working, self.retries.first) = (Some(pass), false);
        let working = retry(Arc::clone(&self.settings));
        self.turns.spawn(async move { Ended::Retry(working.await) });
        true
    }

    fn ended(&mut self, ended: Result<Ended<S>, JoinError>) -> Result<(), Error> {
        match ended {
            Ok(Ended::Turn(lane, turn)) => {
                self.alone = false;
                self.turn_ended(lane, turn)
            }
            Ok(Ended::Retry(retried)) => self.retry_ended(retried),
            Err(error) => {
                Err(Error::new(ErrorKind::Other, "a turn of the consumer did not come back").caused_by(error))
            }
        }
    }

    fn turn_ended(&mut self, lane: Lane, turn: Turn<S>) -> Result<(), Error> {
        let Some(state) = self.lanes.get_mut(&lane) else { return Ok(()) };
        if let Some(working) = state.working.take() {
            self.gates.settle(working.pass, &turn.outcome);
        }
        let finished = !turn.finished.is_empty();
        if finished {
            // Another message is the first one now.
            (state.blocked, state.full) = (0, 0);
            state.available();
        }
        state.fits = turn.fits;
        self.settled.extend(turn.finished);
        if state.given_up {
            self.released.extend(turn.rest.into_iter().map(|item| item.receipt));
            let done = state.revoking.take();
            self.hand_over();
            if done.is_some() {
                self.lanes.remove(&lane);
            }
            return Ok(());
        }
        state.put_back(turn.rest);
        state.calm_down(turn.under_note);
        let consumer = &*self.settings.name;
        match turn.after {
            After::Continue => {
                state.grow(self.settings.batch.messages.get());
                (state.outages, state.full) = (0, 0);
            }
            After::Outage(error) => {
                state.outages += 1;
                state.unavailable(finished);
                let wait = Backoff::OUTAGE.delay(state.outages);
                tracing::warn!(consumer, error, ?wait, "paused by an outage");
                state.wait_for(wait);
            }
            After::Conflict(error) => {
                state.shrink();
                tracing::debug!(consumer, error, "batch halved by a conflict");
                state.wait_for(Backoff::after_conflict());
            }
            After::TakeCare => {
                let at_most = self.settings.batch.messages;
                tracing::warn!(
                    consumer, ?lane, %at_most,
                    "a process may have ended in the first batch of this lane: its messages run one by one now"
                );
                state.take_care();
            }
            After::Watch(watched) => {
                let (message_id, given) = (&watched.message, watched.given());
                if given < FIRST_WATCH {
                    let at_most = self.settings.longest_run();
                    tracing::warn!(
                        consumer, %message_id, ?at_most,
                        "this message may have ended its process each of the last times: whoever else handles it has time to answer"
                    );
                }
                // Each look keeps the other lanes waiting.
                state.wait_for(given.clamp(FIRST_WATCH, LONGEST_WATCH));
                state.watched = Some(watched);
            }
            After::Blocked(failure) => {
                state.blocked += 1;
                let wait = self.settings.backoff.delay(state.blocked);
                if self.settings.on_failure == OnFailure::Block {
                    tracing::error!(
                        consumer, attempt = state.blocked, kind = %failure.kind, error = failure.error, ?wait,
                        "lane blocked by a message that cannot be applied"
                    );
                } else {
                    tracing::warn!(
                        consumer, attempt = state.blocked, kind = %failure.kind, error = failure.error, ?wait,
                        "message is tried again in place"
                    );
                }
                state.wait_for(wait);
            }
            After::Full(message_id, failure) => {
                // Only a culprit has run and failed once more.
                state.blocked += u32::from(failure.is_some());
                state.full += 1;
                let wait = self.settings.backoff.delay(state.full);
                let ParkingRoom { per_key, in_all } = self.settings.room;
                if state.full == 1 {
                    tracing::error!(
                        consumer, %message_id, per_key, in_all, ?wait,
                        "lane blocked: there is no room to park its first message"
                    );
                } else {
                    tracing::debug!(consumer, %message_id, ?wait, "lane still blocked: there is no room to park");
                }
                state.wait_for(wait);
            }
            After::Fenced => {
                tracing::info!(consumer, ?lane, "another process has moved the cursor: reading again");
                self.subscriber.pause(lane);
                self.released.extend(state.give_up());
            }
            After::Fatal(error) => return Err(error),
        }
        for delay in turn.due_in {
            self.retries.timer.due_in(delay);
        }
        self.hand_over();
        Ok(())
    }

    fn retry_ended(&mut self, retried: Retried) -> Result<(), Error> {
        if let Some(pass) = self.retries.working.take() {
            self.gates.settle(pass, &retried.outcome);
        }
        if let Some(error) = retried.fatal {
            return Err(error);
        }
        if let Some(delay) = retried.due_in {
            self.retries.timer.due_in(delay);
        }
        match retried.outage {
            Some(error) => {
                let wait = self.retries.timer.outage();
                tracing::warn!(consumer = &*self.settings.name, error, ?wait, "retries paused by an outage");
            }
            None => self.retries.timer.look_ended(retried.found),
        }
        Ok(())
    }

    /// Gives receipts to the subscriber.
    fn hand_over(&mut self) {
        if !self.settled.is_empty() {
            self.subscriber.settle(&mut self.settled);
            crash::point("consumer.settled");
        }
        if !self.released.is_empty() {
            self.subscriber.release(&mut self.released);
        }
    }
}
