//! The loop: one poll function over the subscriber, messages in flight, the filter and the timers.

mod answers;
mod incoming;
mod starting;

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use messagekit::adapter::{BoxFuture, Lane, Receipt, Source, Subscriber};
use messagekit::gate::Gates;
use messagekit::{Error, ErrorKind, chain, crash};

use super::filter::Filter;
use super::lane::LaneState;
use super::sending::Sent;
use super::settings::Settings;
use super::timers::Timers;

pub(super) async fn run<Src: Source>(
    settings: Settings,
    source: Src,
    gates: Gates,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut shutdown = pin!(shutdown);
    let subscriber = tokio::select! {
        biased;
        () = shutdown.as_mut() => return Ok(()),
        bound = source.bind(&settings.name, &[]) => bound?,
    };
    let mut running = Running::new(settings, subscriber, gates);
    let outcome = poll_fn(|cx| match shutdown.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Ok(())),
        Poll::Pending => running.poll(cx).map(Err),
    })
    .await;
    running.stop();
    let drained = tokio::time::timeout(running.settings.drain, poll_fn(|cx| running.poll_drained(cx))).await;
    // Messages without a confirmation in time are delivered again.
    let drained = drained.unwrap_or(Ok(()));
    let closed = poll_fn(|cx| running.subscriber.poll_close(cx)).await;
    running.forget_lanes();
    outcome.and(drained).and(closed)
}

struct Running<Sub> {
    settings: Arc<Settings>,
    subscriber: Sub,
    gates: Gates,
    lanes: BTreeMap<Lane, LaneState>,
    /// Lanes with ready messages, in turn: one lane must not use up a rate limit.
    listed: VecDeque<Lane>,
    sending: FuturesUnordered<BoxFuture<'static, Sent>>,
    filter: Option<Filter>,
    /// Started and unfinished messages, including those in the filter; bounded.
    in_work: usize,
    timers: Timers,
    settled: Vec<Receipt>,
    released: Vec<Receipt>,
    stopping: bool,
}

impl<Sub: Subscriber> Running<Sub> {
    fn new(settings: Settings, subscriber: Sub, gates: Gates) -> Self {
        Self {
            filter: settings.duplicates.clone().map(Filter::new),
            settings: Arc::new(settings),
            subscriber,
            gates,
            lanes: BTreeMap::new(),
            listed: VecDeque::new(),
            sending: FuturesUnordered::new(),
            in_work: 0,
            timers: Timers::default(),
            settled: Vec::new(),
            released: Vec::new(),
            stopping: false,
        }
    }

    /// Runs until nothing more can proceed; ready only with the error that ends the bridge.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let mut moved = false;
            while let Poll::Ready(Some(sent)) = self.sending.poll_next_unpin(cx) {
                self.sent(sent);
                moved = true;
            }
            while let Some(Poll::Ready(filtered)) = self.filter.as_mut().map(|filter| filter.poll(cx)) {
                if let Err(error) = self.filtered(filtered) {
                    return Poll::Ready(error);
                }
                moved = true;
            }
            while let Poll::Ready(due) = self.timers.poll(cx) {
                self.due(due);
                moved = true;
            }
            while let Poll::Ready(incoming) = self.subscriber.poll_next(cx) {
                match incoming {
                    Some(Ok(incoming)) => self.incoming(incoming),
                    Some(Err(error)) if error.is_transient() => {
                        tracing::warn!(bridge = &*self.settings.name, error = %chain(&error), "source");
                    }
                    Some(Err(error)) => return Poll::Ready(error),
                    None => return Poll::Ready(Error::new(ErrorKind::Closed, "source ended by itself")),
                }
                moved = true;
            }
            moved |= self.start(cx);
            self.hand_over();
            self.gates.rest();
            if !moved {
                self.count();
                return Poll::Pending;
            }
        }
    }

    /// Starts no more messages and releases those that are not started.
    fn stop(&mut self) {
        self.stopping = true;
        for (lane, state) in &mut self.lanes {
            // Pause first: a released message would be redelivered to this lane immediately.
            self.subscriber.pause(*lane);
            self.released.extend(state.leave());
        }
        self.hand_over();
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Poll::Ready(error) = self.poll(cx) {
            return Poll::Ready(Err(error));
        }
        match self.lanes.values().all(LaneState::is_at_rest) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn forget_lanes(&mut self) {
        self.lanes.clear();
        self.sending.clear();
        self.settings.stats.count(|counts| counts.unconfirmed = 0);
        self.in_work = 0;
        self.count();
    }

    /// Passes receipts to the subscriber.
    fn hand_over(&mut self) {
        if !self.settled.is_empty() {
            self.subscriber.settle(&mut self.settled);
            crash::point("bridge.settled");
        }
        if !self.released.is_empty() {
            self.subscriber.release(&mut self.released);
        }
    }

    fn count(&self) {
        let held: usize = self.lanes.values().map(LaneState::held).sum();
        let (outage, full) = self
            .lanes
            .values()
            .map(LaneState::met)
            .fold((0, 0), |(outage, full), met| (outage + met.outage, full + met.full));
        self.settings.stats.waits(outage, full);
        let unconfirmed = self.settings.stats.count(|counts| {
            counts.lanes = self.lanes.len() as u64;
            counts.waiting = held.saturating_sub(self.in_work) as u64;
            counts.unconfirmed
        });
        self.settings.metrics.unconfirmed.set(i64::try_from(unconfirmed).unwrap_or(i64::MAX));
        self.settings.metrics.blocked.set(i64::from(self.settings.stats.is_blocked()));
    }
}
