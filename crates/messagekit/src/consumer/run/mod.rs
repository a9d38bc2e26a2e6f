//! The loop: one poll function over the subscriber, the running batches, the gates and the timers.

mod ended;
mod idle;
mod incoming;
mod retries;
mod starting;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::join3;
use tokio::task::JoinSet;

use self::idle::IdleWatch;
use self::retries::Retries;
use super::batch::BatchOutcome;
use super::bind::bind;
use super::lane::{AssignedLane, KeyLanes, MinimumBatch};
use super::retry::RetryOutcome;
use super::settings::{CUT_OFF, DRAIN, Settings};
use super::watch::{log_missing_topics, note_running, note_unhandled, watch_lag, watch_retention};
use crate::crash;
use crate::gate::{Gates, Pass};
use crate::store::{Inbox, Store};
use crate::transport::{Lane, Receipt, Source, Subscriber};
use crate::{Error, ErrorKind, chain};

/// The most that one poll takes from the source. A worker of tokio keeps the task that was spawned or woken last in a slot from
/// which no other worker may take it, so the batch just started would wait until the source has nothing more.
const PER_POLL: usize = 32;

/// When a run ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Not before its shutdown.
    Shutdown,
    /// When nothing is left to do.
    Idle,
}

pub(super) async fn run<S: Inbox, Src: Source>(
    settings: Arc<Settings<S>>,
    source: Src,
    gates: Gates,
    until: Until,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut shutdown = pin!(shutdown);
    let (topics, retention, list) = (source.topics().to_vec(), source.retention(), source.topic_list());
    let Some(bound) = or_shutdown(bind(&settings, source), shutdown.as_mut()).await else { return Ok(()) };
    let subscriber = KeyLanes::new(bound?, settings.key_lanes);
    crash::point("consumer.bound");
    let lag = subscriber.lag();
    let mut idle = match until {
        Until::Shutdown => None,
        Until::Idle => Some(IdleWatch::new(lag.clone(), &topics, list.clone())?),
    };
    let mut running = Running::new(settings, subscriber, gates);
    let lag = watch_lag(Arc::clone(&running.settings), lag);
    let settings = Arc::clone(&running.settings);
    let running_notes = note_running(Arc::clone(&settings));
    let topics = async move {
        log_missing_topics(&settings.name, &topics, list).await;
        watch_retention(settings, topics, retention).await;
    };
    let outcome = {
        // Dropped before the drain: a call in flight would keep its connection from the handlers that end.
        let mut watching = pin!(join3(topics, lag, running_notes));
        let until_ended = poll_fn(|cx| match (shutdown.as_mut().poll(cx), watching.as_mut().poll(cx)) {
            (Poll::Ready(()), _) => Poll::Ready(Ok(())),
            (Poll::Pending, _) => match (running.poll(cx), &mut idle) {
                (Poll::Pending, Some(idle)) => running.poll_idle(idle, cx),
                (polled, _) => polled.map(Err),
            },
        });
        until_ended.await
    };
    running.stop();
    let drained = tokio::time::timeout(DRAIN, poll_fn(|cx| running.poll_drained(cx))).await;
    if drained.is_err() {
        // An aborted task withdraws neither its attempt nor its lease, and this stop would count as a crash.
        running.settings.cut_off.request();
        let _ = tokio::time::timeout(CUT_OFF, poll_fn(|cx| running.poll_drained(cx))).await;
    }
    running.tasks.abort_all();
    note_unhandled(&running.settings).await;
    let closed = poll_fn(|cx| running.subscriber.poll_close(cx)).await;
    outcome.and(running.trouble.map_or(Ok(()), Err)).and(closed)
}

/// Waits for work, unless a shutdown comes first.
pub(super) async fn or_shutdown<T>(
    work: impl Future<Output = T>,
    shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = shutdown => None,
        done = work => Some(done),
    }
}

enum TaskOutcome<S: Store> {
    Batch(Lane, Box<BatchOutcome<S>>, Pass),
    Retry(RetryOutcome, Pass),
}

struct Running<S: Store, Sub> {
    settings: Arc<Settings<S>>,
    subscriber: Sub,
    gates: Gates,
    lanes: BTreeMap<Lane, AssignedLane<S>>,
    tasks: JoinSet<TaskOutcome<S>>,
    /// The last admitted lane: the next one is polled first, otherwise one lane could use up a rate limit.
    last_admitted: Option<Lane>,
    /// The running lane is guarded one message at a time: nothing runs beside it, so a crash has one culprit.
    alone: bool,
    retries: Retries,
    settled: Vec<Receipt>,
    released: Vec<Receipt>,
    stopping: bool,
    /// The source has ended and is not polled any more.
    has_ended: bool,
    /// The first error during the stop.
    trouble: Option<Error>,
}

impl<S: Inbox, Sub: Subscriber> Running<S, Sub> {
    fn new(settings: Arc<Settings<S>>, subscriber: Sub, gates: Gates) -> Self {
        Self {
            settings,
            subscriber,
            gates,
            lanes: BTreeMap::new(),
            tasks: JoinSet::new(),
            last_admitted: None,
            alone: false,
            retries: Retries::new(),
            settled: Vec::new(),
            released: Vec::new(),
            stopping: false,
            has_ended: false,
            trouble: None,
        }
    }

    /// Continues until nothing can proceed; ready only with the error that ends the consumer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let mut moved = false;
            while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(cx) {
                if let Err(error) = self.ended(ended) {
                    return Poll::Ready(error);
                }
                moved = true;
            }
            let taken = match self.take_incoming(cx) {
                Ok(taken) => taken,
                Err(error) => return Poll::Ready(error),
            };
            moved |= taken > 0;
            let more = taken == PER_POLL;
            let mut started = false;
            if !self.stopping {
                let least = if more { MinimumBatch::WholeBatch } else { MinimumBatch::OneMessage };
                started |= self.retries.first && self.start_retry(cx);
                started |= self.start_batches(least, cx);
                started |= self.start_retry(cx);
            }
            self.hand_over();
            self.report_lanes();
            self.gates.rest();
            if more || started {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Is ready once nothing is in work, the source has nothing that is not settled, and no failed message is due. It continues nothing:
    /// call it after [`poll`](Self::poll).
    fn poll_idle(&mut self, idle: &mut IdleWatch, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let stands_by = self.lanes.is_empty();
        if !self.tasks.is_empty() || !self.lanes.values().all(AssignedLane::is_empty) {
            idle.forget();
            return Poll::Pending;
        }
        if !stands_by && !self.retries.has_looked() {
            idle.forget();
            if self.retries.look_now() {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        idle.poll(stands_by, cx)
    }

    /// Takes at most [`PER_POLL`] events of the source, and returns how many there were.
    fn take_incoming(&mut self, cx: &mut Context<'_>) -> Result<usize, Error> {
        let mut taken = 0;
        while taken < PER_POLL && !self.has_ended {
            let Poll::Ready(incoming) = self.subscriber.poll_next(cx) else { break };
            match incoming {
                Some(Ok(incoming)) => {
                    // The messages of other lanes say nothing about a lane that is held.
                    if self.subscriber.held_lanes().is_empty() {
                        self.settings.stats.trouble(None);
                    }
                    self.incoming(incoming);
                }
                Some(Err(error)) if error.is_transient() => {
                    self.settings.stats.trouble(Some(&error));
                    self.lanes.values_mut().for_each(AssignedLane::reset_quiet_time);
                    tracing::warn!(consumer = &*self.settings.name, error = %chain(&error), "source waits");
                }
                ended @ (Some(Err(_)) | None) => {
                    self.has_ended = true;
                    let by_itself = || Error::new(ErrorKind::Closed, "source ended by itself");
                    return Err(ended.and_then(Result::err).unwrap_or_else(by_itself));
                }
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// Reports the number of lanes, and which of them wait for one message.
    fn report_lanes(&self) {
        // The key lanes of a divided partition are adjacent.
        let key_lanes = self.settings.key_lanes.get();
        let policy = self.settings.rules.on_failure;
        let held = self.subscriber.held_lanes();
        self.settings.stats.held(!held.is_empty());
        let is_blocked =
            |lane: &Lane, state: &AssignedLane<S>| state.state.is_blocked(policy) || held.contains(lane);
        let blocked = self.lanes.iter().filter(|(lane, state)| is_blocked(lane, state));
        let (mut slots, names): (Vec<u32>, Vec<Arc<str>>) =
            blocked.map(|(lane, state)| (lane.slot / key_lanes, Arc::clone(&state.name))).unzip();
        slots.dedup();
        self.settings.stats.assigned(self.lanes.len() / key_lanes as usize, slots.len(), names);
    }

    /// Stops batches between transactions and releases the waiting messages.
    fn stop(&mut self) {
        self.stopping = true;
        for (lane, state) in &mut self.lanes {
            state.stop();
            // Pause first: a released message would be redelivered to this lane immediately.
            self.subscriber.pause(*lane);
            self.released.extend(state.give_up());
        }
        self.hand_over();
    }

    /// Waits until no batch is in flight: even after an error, the running batches finish.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(error) = self.poll(cx) {
            self.trouble.get_or_insert(error);
        }
        if self.tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Passes receipts to the subscriber.
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
