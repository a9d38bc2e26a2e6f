//! The loop: one poll function over the subscriber, what is unconfirmed, the filter and the timers.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::filter::{Asked, Filter, Filtered, Marked};
use super::job::Job;
use super::lane::{LaneState, Window};
use super::sending::{Sent, send};
use super::settings::{Settings, WINDOW_BYTES, outage};
use super::stats::Counters;
use super::timers::{Due, Timers};
use crate::gate::{BatchView, Gates, Outcome, Pass, Verdict};
use crate::store::BoxFuture;
use crate::transport::{Incoming, Lane, Receipt, Refusal, Source, Subscriber};
use crate::{Error, ErrorKind, PublishError, chain, crash};

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
    // What is not confirmed in time is delivered again.
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
    /// Lanes with something ready, in the order in which they are asked: one lane must not eat a rate limit.
    listed: VecDeque<Lane>,
    sending: FuturesUnordered<BoxFuture<'static, Sent>>,
    filter: Option<Filter>,
    /// Started and not finished: bounded, with the filter's part in it.
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

    /// Goes on until something cannot; ready only with the error that ends the bridge.
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
            if !moved {
                self.count();
                return Poll::Pending;
            }
        }
    }

    /// Starts nothing more and gives back what is not in work.
    fn stop(&mut self) {
        self.stopping = true;
        for (lane, state) in &mut self.lanes {
            // Else what is given back would be delivered here again, for ever.
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
        self.counters().unconfirmed.store(0, Ordering::Relaxed);
        self.in_work = 0;
        self.count();
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Assigned { lane } => {
                tracing::info!(bridge = &*self.settings.name, ?lane, "lane assigned");
                let mut state = LaneState::default();
                if self.stopping {
                    state.leave();
                    self.subscriber.pause(lane);
                }
                self.lanes.insert(lane, state);
            }
            Incoming::Message(delivery) => {
                let lane = delivery.receipt.lane();
                let Some(state) = self.lanes.get_mut(&lane).filter(|state| !state.leaving) else {
                    self.released.push(delivery.receipt);
                    return;
                };
                let (key, bytes) = (delivery.message.key.clone(), delivery.message.size());
                let job = self.settings.job(delivery.message, delivery.place.as_ref());
                state.push(delivery.receipt, key, bytes, job);
                self.look_at(lane);
            }
            Incoming::Revoking { lane, done } => {
                let Some(state) = self.lanes.get_mut(&lane) else { return };
                tracing::info!(bridge = &*self.settings.name, ?lane, "lane revoked");
                self.subscriber.pause(lane);
                self.released.extend(state.leave());
                state.done = Some(done);
                self.timers.after(self.settings.drain, Due::GiveUp(lane));
                self.end_when_at_rest(lane);
            }
            Incoming::Lost { lane } => {
                tracing::warn!(bridge = &*self.settings.name, ?lane, "lane lost");
                // What is under way may still be confirmed; its receipts say nothing any more.
                self.lanes.remove(&lane);
            }
        }
    }

    /// Lists a lane that has something ready and lets its window decide.
    fn look_at(&mut self, lane: Lane) {
        let bytes = WINDOW_BYTES / self.lanes.len().max(1);
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        if state.is_ready() && !state.listed {
            state.listed = true;
            self.listed.push_back(lane);
        }
        if state.leaving {
            return;
        }
        match state.window(bytes) {
            Window::Pause => self.subscriber.pause(lane),
            Window::Resume => self.subscriber.resume(lane),
            Window::Keep => {}
        }
    }

    /// Starts what is ready, one message of each lane in turn.
    fn start(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut started, mut closed) = (false, Vec::new());
        while self.in_work < self.settings.unconfirmed
            && let Some(lane) = self.listed.pop_front()
        {
            let Some(state) = self.lanes.get_mut(&lane) else { continue };
            state.listed = false;
            let Some((job, bytes, is_new)) = state.peek().filter(|_| !state.leaving) else { continue };
            let is_forward = matches!(job, Job::Forward { .. });
            let is_asked = is_forward && !is_new && self.filter.is_some();
            let mut pass = None;
            if is_forward && !is_asked {
                let view = BatchView { lane, messages: 1, bytes };
                let admitted = match closed.is_empty() {
                    true => self.gates.poll_admit(&view, cx),
                    false => Poll::Pending,
                };
                let Poll::Ready((admitted, _)) = admitted else {
                    closed.push(lane);
                    continue;
                };
                pass = Some(admitted);
            }
            let Some((position, job)) = state.start() else { continue };
            self.in_work += 1;
            match &mut self.filter {
                Some(filter) if is_asked => filter.ask(Asked { lane, position, job }),
                _ => self.send(lane, position, job, pass),
            }
            self.look_at(lane);
            started = true;
        }
        for lane in closed.into_iter().rev() {
            self.lanes.get_mut(&lane).into_iter().for_each(|state| state.listed = true);
            self.listed.push_front(lane);
        }
        started
    }

    fn send(&mut self, lane: Lane, position: u64, job: Job, pass: Option<Pass>) {
        if matches!(job, Job::Forward { .. })
            && self.counters().unconfirmed.fetch_add(1, Ordering::Relaxed) == 0
        {
            self.settings.stats.asked();
        }
        self.sending.push(Box::pin(send(Arc::clone(&self.settings), lane, position, job, pass)));
    }

    fn sent(&mut self, sent: Sent) {
        let Sent { lane, position, job, pass, answer } = sent;
        let refusal = answer.as_ref().err().map(|error| error.refusal);
        if let Some(pass) = pass {
            let verdict = match refusal {
                None => Verdict::Success,
                Some(Refusal::Rejected | Refusal::Behind) => Verdict::Neutral,
                Some(_) => Verdict::Failure,
            };
            self.gates.settle(pass, &Outcome { verdict, used: 1 });
        }
        match (job, answer) {
            (Job::Forward { target, id, .. }, Ok(())) => {
                self.answered();
                Counters::add(&self.counters().forwarded);
                self.settings.targets[target].forwarded.inc();
                crash::point("bridge.confirmed");
                match &mut self.filter {
                    Some(filter) => filter.mark(lane, position, id),
                    None => self.finish(lane, position),
                }
            }
            (Job::Forward { target, id, message }, Err(error)) if error.refusal == Refusal::Rejected => {
                self.answered();
                Counters::add(&self.counters().returned);
                self.settings.targets[target].returned.inc();
                tracing::warn!(
                    bridge = &*self.settings.name, %id, routing_key = &*message.topic,
                    error = %chain(&error.error), "message refused: it goes to the dead-letter topic"
                );
                let letter = self.settings.refused(message, &error);
                self.put_back(lane, position, letter);
            }
            (job @ Job::Forward { .. }, Err(error)) => {
                self.counters().unconfirmed.fetch_sub(1, Ordering::Relaxed);
                Counters::add(&self.counters().repeated);
                self.settings.metrics.repeated.inc();
                let text = chain(&error.error).to_string();
                if self.settings.stats.failed(text.clone()) {
                    tracing::warn!(
                        bridge = &*self.settings.name,
                        error = text,
                        "broker does not take messages"
                    );
                }
                self.keep(lane, position, job);
            }
            (Job::Bury { kind, .. }, Ok(())) => {
                Counters::add(&self.counters().dead_lettered);
                self.settings.metrics.dead_lettered(kind.as_str()).inc();
                crash::point("bridge.dead_lettered");
                self.finish(lane, position);
            }
            (job @ Job::Bury { .. }, Err(error)) => {
                if let Some(outages) = self.keep(lane, position, job) {
                    self.letter_failed(&error, outages);
                }
            }
        }
    }

    /// A refused letter is waited for as well: without it the record must not be passed over.
    fn letter_failed(&self, error: &PublishError, outages: u32) {
        // The waits grow to two seconds: about once a minute after the first.
        if outages % 32 != 1 {
            return;
        }
        let (bridge, topic) = (&*self.settings.name, &*self.settings.dead_letters.topic);
        let text = chain(&error.error).to_string();
        match error.refusal {
            Refusal::Rejected => {
                tracing::error!(
                    bridge,
                    topic,
                    error = text,
                    "dead-letter topic refuses a letter: its key stands still"
                );
            }
            _ => tracing::warn!(bridge, topic, error = text, "dead letter not confirmed"),
        }
    }

    fn answered(&self) {
        self.counters().unconfirmed.fetch_sub(1, Ordering::Relaxed);
        if let Some(outage) = self.settings.stats.answered() {
            tracing::info!(bridge = &*self.settings.name, ?outage, "broker takes messages again");
        }
    }

    fn filtered(&mut self, filtered: Filtered) -> Result<(), Error> {
        match filtered {
            Filtered::Known(answers) => {
                for (Asked { lane, position, job }, known) in answers {
                    if known {
                        Counters::add(&self.counters().duplicates);
                        self.settings.metrics.duplicates.inc();
                        self.finish(lane, position);
                    } else {
                        self.lanes.get_mut(&lane).into_iter().for_each(|state| state.is_new(position));
                        self.put_back(lane, position, job);
                    }
                }
            }
            Filtered::Marked(marked) => {
                marked.into_iter().for_each(|Marked { lane, position, .. }| self.finish(lane, position));
            }
            Filtered::AskLater(error, outages) => self.filter_rests(error, outages, Due::Check)?,
            Filtered::MarkLater(error, outages) => self.filter_rests(error, outages, Due::Mark)?,
        }
        Ok(())
    }

    fn filter_rests(&mut self, error: Error, outages: u32, due: Due) -> Result<(), Error> {
        if !error.is_transient() {
            return Err(error);
        }
        let wait = outage().delay(outages);
        tracing::warn!(bridge = &*self.settings.name, error = %chain(&error), ?wait, "duplicate filter");
        self.timers.after(wait, due);
        Ok(())
    }

    /// Ends a message: its receipt may go back.
    fn finish(&mut self, lane: Lane, position: u64) {
        self.in_work -= 1;
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        self.settled.extend(state.finish(position));
        self.end_or_go_on(lane);
    }

    /// Takes a message back to be started at once.
    fn put_back(&mut self, lane: Lane, position: u64, job: Job) {
        self.in_work -= 1;
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        match state.leaving {
            true => self.released.extend(state.release(position)),
            false => state.put_back(position, job),
        }
        self.end_or_go_on(lane);
    }

    /// Takes a message back to be started after a wait; returns how many outages it has met.
    fn keep(&mut self, lane: Lane, position: u64, job: Job) -> Option<u32> {
        self.in_work -= 1;
        let state = self.lanes.get_mut(&lane)?;
        if state.leaving {
            self.released.extend(state.release(position));
            self.end_or_go_on(lane);
            return None;
        }
        let outages = state.keep(position, job)?;
        self.timers.after(outage().delay(outages), Due::Again(lane, position));
        Some(outages)
    }

    fn due(&mut self, due: Due) {
        match due {
            Due::Again(lane, position) => {
                if let Some(state) = self.lanes.get_mut(&lane) {
                    state.again(position);
                    self.look_at(lane);
                }
            }
            Due::Check => self.filter.iter_mut().for_each(Filter::ask_again),
            Due::Mark => self.filter.iter_mut().for_each(Filter::mark_again),
            Due::GiveUp(lane) => {
                if let Some(mut state) = self.lanes.remove(&lane) {
                    self.released.extend(state.give_up());
                    self.hand_over();
                }
            }
        }
    }

    fn end_or_go_on(&mut self, lane: Lane) {
        match self.lanes.get(&lane) {
            Some(state) if state.leaving => self.end_when_at_rest(lane),
            _ => self.look_at(lane),
        }
    }

    fn end_when_at_rest(&mut self, lane: Lane) {
        if !self.lanes.get(&lane).is_some_and(|state| state.is_at_rest() && state.done.is_some()) {
            return;
        }
        // Settled and released receipts must arrive before the lane is free.
        self.hand_over();
        self.lanes.remove(&lane);
    }

    /// Gives receipts to the subscriber.
    fn hand_over(&mut self) {
        if !self.settled.is_empty() {
            self.subscriber.settle(&mut self.settled);
            crash::point("bridge.settled");
        }
        if !self.released.is_empty() {
            self.subscriber.release(&mut self.released);
        }
    }

    fn counters(&self) -> &Counters {
        self.settings.stats.counters()
    }

    fn count(&self) {
        let held: usize = self.lanes.values().map(LaneState::held).sum();
        let counters = self.counters();
        let unconfirmed = counters.unconfirmed.load(Ordering::Relaxed);
        self.settings.metrics.unconfirmed.set(i64::try_from(unconfirmed).unwrap_or(i64::MAX));
        self.settings.metrics.blocked.set(i64::from(self.settings.stats.is_blocked()));
        counters.lanes.store(self.lanes.len() as u64, Ordering::Relaxed);
        counters.waiting.store(held.saturating_sub(self.in_work) as u64, Ordering::Relaxed);
    }
}
