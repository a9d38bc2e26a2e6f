//! The loop: one poll function over leases, reads, publications and deletions.

mod admission;
mod outcomes;
mod starting;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use uuid::Uuid;

use self::admission::Admission;
use super::adaptive_page::AdaptivePage;
use super::alarm::Alarm;
use super::delayed::Delayed;
use super::reporter::Reporter;
use super::sending::Sent;
use super::settings::{LEAVE, Settings, UNDELETED, UNDELETED_EVENTS, no_room, outage};
use super::shards::Shards;
use super::single_flight::SingleFlight;
use super::stats::RelayState;
use super::{Leases, Page, PendingId, RelayStats};
use crate::gate::Gates;
use crate::store::BoxFuture;
use crate::{Error, chain};

/// Number of iterations before the loop yields to other tasks of its thread.
const ROUNDS: u32 = 64;

/// Factor of the poll frequency while events are found.
const EAGER: u32 = 10;

pub(super) async fn run(
    settings: Settings,
    gates: Gates,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut shutdown = pin!(shutdown);
    let mut running = Running::new(settings, gates);
    let outcome = poll_fn(|cx| match shutdown.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Ok(())),
        Poll::Pending => running.poll(cx).map(Err),
    })
    .await;
    running.stopping = true;
    let drain = running.settings.drain;
    // Unconfirmed events are published again by the next owners of their shards.
    let drained = tokio::time::timeout(drain, poll_fn(|cx| running.poll_drained(cx))).await.unwrap_or(Ok(()));
    running.leave().await;
    outcome.and(drained)
}

/// The result of a lease statement.
enum Leasing {
    Answered { valid_until: Duration, answer: Result<Leases, Error> },
    HandedOver(Result<(), Error>),
    Left(Result<(), Error>),
}

type Deleted = (Vec<PendingId>, Result<(), Error>);

struct Running {
    settings: Arc<Settings>,
    /// Its name among the relays of the outbox.
    instance: Arc<str>,
    started: Instant,
    shards: Shards,
    /// Renewals and handovers take turns: a renewal in flight might take back a shard that is handed over.
    leasing: SingleFlight<Leasing>,
    lease_at: Duration,
    reading: SingleFlight<Result<Page, Error>>,
    page: AdaptivePage,
    poll_at: Duration,
    /// More events are likely until this time: some were found less than a poll interval ago.
    eager_until: Duration,
    admission: Admission,
    sending: FuturesUnordered<BoxFuture<'static, Sent>>,
    deleting: SingleFlight<Deleted>,
    delayed: Delayed,
    woken: BoxFuture<'static, ()>,
    alarm: Alarm,
    reporter: Reporter,
    /// The outbox has granted a lease.
    has_served: bool,
    stopping: bool,
}

impl Running {
    fn new(settings: Settings, gates: Gates) -> Self {
        let settings = Arc::new(settings);
        let undeleted = (settings.batch as usize * UNDELETED).min(UNDELETED_EVENTS);
        Self {
            // Relays of one name need unique instances: otherwise they would confuse each other's shards with their own.
            instance: format!("{}-{}", settings.name, Uuid::now_v7().simple()).into(),
            started: Instant::now(),
            shards: Shards::new(settings.calls, undeleted, outage(), no_room()),
            leasing: SingleFlight::new(),
            lease_at: Duration::ZERO,
            reading: SingleFlight::new(),
            page: AdaptivePage::new(settings.batch),
            poll_at: Duration::ZERO,
            eager_until: Duration::ZERO,
            admission: Admission::new(gates),
            sending: FuturesUnordered::new(),
            deleting: SingleFlight::new(),
            delayed: Delayed::new(),
            woken: woken(&settings),
            alarm: Alarm::default(),
            reporter: Reporter::default(),
            has_served: false,
            stopping: false,
            settings,
        }
    }

    /// Continues until nothing can proceed; ready only with the error that ends the relay.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        for _ in 0..ROUNDS {
            let now = self.started.elapsed();
            self.shards.pass(now);
            let moved = match self.take_answers(now, cx) {
                Ok(moved) => moved,
                Err(error) => return Poll::Ready(error),
            };
            // Run both, even if the first has made progress.
            if self.start(now, cx) | moved {
                continue;
            }
            self.admission.rest();
            self.reporter.show(&self.settings, &self.shards, self.started);
            let Some(next) = self.next(now) else { return Poll::Pending };
            if self.alarm.poll(self.started + next, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Poll::Ready(error) = self.poll(cx) {
            return Poll::Ready(Err(error));
        }
        let is_busy =
            self.leasing.is_in_flight() || self.reading.is_in_flight() || self.delayed.is_in_flight();
        match self.shards.is_at_rest() && self.shards.confirmed.len() == 0 && !is_busy {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    async fn leave(&mut self) {
        // Statements in flight must not take or read shards any more.
        (self.leasing, self.reading) = (SingleFlight::new(), SingleFlight::new());
        self.sending.clear();
        if self.shards.valid_until() > Duration::ZERO {
            let left = tokio::time::timeout(LEAVE, self.settings.reader.hand_over(&self.instance, &[])).await;
            if let Ok(Err(error)) = left {
                let relay = &*self.settings.name;
                tracing::warn!(relay, error = chain(&error), "shards are free when their lease ends");
            }
        }
        self.left();
        self.reporter.show(&self.settings, &self.shards, self.started);
    }

    /// Records that the relay owns no shards any more.
    fn left(&mut self) {
        self.shards.leased(Duration::ZERO, &Leases::default());
        self.state().valid_until = None;
    }

    fn take_answers(&mut self, now: Duration, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut moved = false;
        while let Poll::Ready(Some(sent)) = self.sending.poll_next_unpin(cx) {
            self.sent(now, sent);
            moved = true;
        }
        if let Poll::Ready(answer) = self.leasing.poll(cx) {
            self.leased(now, answer)?;
            moved = true;
        }
        if let Poll::Ready(answer) = self.deleting.poll(cx) {
            self.deleted(now, answer)?;
            moved = true;
        }
        if let Poll::Ready(answer) = self.delayed.poll(now, cx) {
            match answer {
                Ok(became_due) => {
                    self.answers();
                    if became_due {
                        self.shards.fall();
                    }
                }
                Err(error) => self.silent(error)?,
            }
            moved = true;
        }
        if let Poll::Ready(answer) = self.reading.poll(cx) {
            self.was_read(now, answer)?;
            moved = true;
        }
        if self.woken.as_mut().poll(cx).is_ready() {
            self.woken = woken(&self.settings);
            self.shards.wake();
            moved = true;
        }
        Ok(moved)
    }

    /// Returns the next time after now at which something can start.
    fn next(&self, now: Duration) -> Option<Duration> {
        let single_flights = [self.leasing.not_before(), self.deleting.not_before()];
        let looks = [self.poll_at, self.delayed.next(), self.reading.not_before(), self.admission.next()];
        let looks = looks.into_iter().filter(|_| !self.stopping);
        let lease = Some(self.lease_at);
        let times = single_flights.into_iter().chain(looks).chain(lease).chain(self.shards.next(now));
        times.filter(|at| *at > now).min()
    }

    fn state(&self) -> MutexGuard<'_, RelayState> {
        self.settings.stats.state()
    }
}

fn woken(settings: &Arc<Settings>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let settings = Arc::clone(settings);
    Box::pin(async move { settings.reader.woken().await })
}

/// A relay that has ended, or was dropped, owns nothing.
impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.state();
        let counts = RelayStats { shards: 0, unconfirmed: 0, ended: true, ..state.counts.clone() };
        *state = RelayState { counts, ..RelayState::default() };
    }
}
