//! Putting a consumer together.

use std::fmt;
use std::future::IntoFuture;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::dedup_window::DedupWindow;
use super::settings::{
    A_CENTURY, A_YEAR, ATTEMPTS, DEADLINE, Rules, SHORTEST_WINDOW, Settings, UNAVAILABLE_LIMIT,
};
use super::stats::Ending;
use super::{
    Backoff, HandlerFn, IdempotentConsumer, Middleware, OnFailure, OnUnknown, Router, StateHandlerFn, Stats,
    run,
};
use crate::gate::{Gate, Gates};
use crate::metrics::Metrics;
use crate::store::{Inbox, ParkingLimits, Store};
use crate::transport::{BatchLimit, Source};
use crate::{Envelope, Error, ErrorKind, Event, Message, Shutdown};

/// A consumer: a name, a source, a store and handlers.
///
/// The name is the scope of deduplication, the group at the broker and the owner of the cursor: processes of one name share
/// the work, another name gets everything again.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit::memory::{MemoryLog, MemoryStore, MemoryTx};
/// use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String, pence: i64 }
///
/// async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
///     tx.add("billed", order.data.pence);
///     Ok(())
/// }
///
/// let log = MemoryLog::new(4);
/// let store = MemoryStore::with_log(&log);
/// let outbox = Outbox::new(store.clone(), "order-service");
/// let mut tx = store.begin().await?;
/// outbox.add(&mut tx, OrderPlaced { order_id: "o-1".into(), pence: 995 }).await?;
/// outbox.commit(tx).await?;
///
/// let shutdown = Shutdown::new();
/// let billing = Consumer::builder("billing", store.clone()).from(log.topics(["orders.order"])).on(bill).build()?;
/// let stats = billing.stats();
/// let running = tokio::spawn(billing.run(shutdown.clone()));
/// while stats.read().handled < 1 {
///     tokio::task::yield_now().await;
/// }
/// shutdown.request();
/// running.await.unwrap()?;
/// assert_eq!(store.get("billed"), 995);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[must_use = "a consumer does nothing until it is run"]
pub struct Consumer<S: Store, Src> {
    settings: Settings<S>,
    source: Src,
    gates: Gates,
}

impl<S: Inbox> Consumer<S, ()> {
    /// Begins a consumer; `name` is 1 to 200 characters of `a-z A-Z 0-9 . _ -`.
    pub fn builder(name: impl Into<Arc<str>>, store: S) -> ConsumerBuilder<S, ()> {
        ConsumerBuilder {
            name: name.into(),
            store,
            source: (),
            router: Router::new(),
            around: Vec::new(),
            gates: Gates::default(),
            metrics: None,
            options: Options {
                on_failure: None,
                limits: ParkingLimits::default(),
                attempts: ATTEMPTS,
                backoff: Backoff::default(),
                deadline: DEADLINE,
                unavailable_limit: UNAVAILABLE_LIMIT,
                batch: None,
                window: None,
                key_lanes: NonZeroU32::MIN,
            },
        }
    }
}

impl<S: Inbox, Src: Source> Consumer<S, Src> {
    /// Returns a live view of what the consumer does.
    pub fn stats(&self) -> Stats {
        self.settings.stats.clone()
    }

    /// Runs until `shutdown` completes, then finishes what is in work, gives the rest back and leaves. A handler that still
    /// runs 30 s later is cut off, and its message is delivered again.
    ///
    /// # Errors
    /// When the source cannot be bound or ends by itself, when the broker has lost a position that the database remembers, or
    /// when the store answers what no waiting cures (no migrations, a corrupt file, closed). An outage is waited for and is no
    /// error.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: open transactions roll back, commits in flight end by themselves, and what was
    /// not settled is delivered again and deduplicated. But the database cannot tell it from the death of the process: it costs a
    /// failed message in its handler an attempt, it makes the next start a careful one when it hits a first batch, and five times
    /// it makes a message dead that ran alone. Stop a consumer by `shutdown`.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        let ending = Ending::of(&self.settings.stats);
        let outcome = run::run(self.settings, self.source, self.gates, shutdown.into_future()).await;
        ending.with(&outcome);
        outcome
    }
}

/// Collects what a [`Consumer`] needs; see there.
#[must_use = "call build() to get the consumer"]
pub struct ConsumerBuilder<S: Store, Src> {
    name: Arc<str>,
    store: S,
    source: Src,
    router: Router<S>,
    around: Vec<Arc<dyn Middleware<S>>>,
    gates: Gates,
    metrics: Option<Metrics>,
    options: Options,
}

/// What a user may set.
struct Options {
    on_failure: Option<OnFailure>,
    limits: ParkingLimits,
    attempts: u32,
    backoff: Backoff,
    deadline: Duration,
    unavailable_limit: Duration,
    batch: Option<BatchLimit>,
    window: Option<Duration>,
    key_lanes: NonZeroU32,
}

impl<S: Inbox> ConsumerBuilder<S, ()> {
    /// Says where it reads from.
    pub fn from<Src: Source>(self, source: Src) -> ConsumerBuilder<S, Src> {
        ConsumerBuilder {
            name: self.name,
            store: self.store,
            source,
            router: self.router,
            around: self.around,
            gates: self.gates,
            metrics: self.metrics,
            options: self.options,
        }
    }
}

impl<S: Inbox, Src> ConsumerBuilder<S, Src> {
    /// Uses a router that was made elsewhere; handlers added before are lost.
    pub fn router(mut self, router: Router<S>) -> Self {
        self.router = router;
        self
    }

    /// Handles events; see [`Router::on`].
    pub fn on<E: Event, H>(mut self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Envelope<E>>,
    {
        self.router = self.router.on(handler);
        self
    }

    /// Handles events with a state; see [`Router::on_with`].
    pub fn on_with<State, E: Event, H>(mut self, state: Arc<State>, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Envelope<E>>,
    {
        self.router = self.router.on_with(state, handler);
        self
    }

    /// Handles several events in one call; see [`Router::on_batch`].
    pub fn on_batch<E: Event, H>(mut self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Vec<Envelope<E>>>,
    {
        self.router = self.router.on_batch(handler);
        self
    }

    /// Handles several events in one call, with a state; see [`Router::on_batch_with`].
    pub fn on_batch_with<State, E: Event, H>(mut self, state: Arc<State>, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Vec<Envelope<E>>>,
    {
        self.router = self.router.on_batch_with(state, handler);
        self
    }

    /// Handles events by an object; see [`Router::consumer`].
    pub fn consumer<C: IdempotentConsumer<S>>(mut self, consumer: C) -> Self {
        self.router = self.router.consumer(consumer);
        self
    }

    /// Handles messages as they are; see [`Router::on_message`].
    pub fn on_message<H>(mut self, event_type: &str, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Message>,
    {
        self.router = self.router.on_message(event_type, handler);
        self
    }

    /// Handles events as JSON; see [`Router::on_json`].
    pub fn on_json<H>(mut self, event_type: &str, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Envelope<serde_json::Value>>,
    {
        self.router = self.router.on_json(event_type, handler);
        self
    }

    /// Handles what no other handler takes; see [`Router::fallback`].
    pub fn fallback<H>(mut self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Message>,
    {
        self.router = self.router.fallback(handler);
        self
    }

    /// Says what happens to types without a handler. Default: ignored and counted.
    pub fn on_unknown(mut self, unknown: OnUnknown) -> Self {
        self.router = self.router.on_unknown(unknown);
        self
    }

    /// Puts code around every handler, inside what was put around before: the first one added runs first.
    pub fn wrap(mut self, middleware: impl Middleware<S>) -> Self {
        self.around.push(Arc::new(middleware));
        self
    }

    /// Counts into these figures, under the consumer's name: what [`Metrics::watch`] shows, and its gates.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Adds a gate behind those added before.
    pub fn gate(mut self, gate: impl Gate + 'static) -> Self {
        self.gates.push(gate);
        self
    }

    /// Says what happens to a message that cannot be applied. Default: [`OnFailure::ParkKey`] where the source has an order to
    /// keep (a log: Kafka, the embedded engine, memory) and the store is a database; else [`OnFailure::DeadLetter`].
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.options.on_failure = Some(policy);
        self
    }

    /// Sets how many messages [`OnFailure::ParkKey`] keeps for their keys; what is beyond that waits in its lane. Default: 1,000
    /// of a key and 100,000 in all.
    pub fn parking_limits(mut self, limits: ParkingLimits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Sets how many runs a message may cost before it is dead. Default: 10. No effect under [`OnFailure::Block`].
    pub fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.options.attempts = attempts.get();
        self
    }

    /// Sets the waits between runs. Default: 200 ms, doubling, at most 5 minutes.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = backoff;
        self
    }

    /// Sets how long a handler may take, a year at most. Default: 30 s. PostgreSQL ends a statement that a handler leaves
    /// behind a second later. A store may allow less: the embedded engine lets a transaction hold the file's write lock for
    /// 250 ms. Twice as long and 5 s more is how long a lane waits before a message that seems to have ended five processes is
    /// dead: others may handle copies of it.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline.min(A_YEAR);
        self
    }

    /// Sets how long a message may hold its lane whose handler says [`unavailable`](crate::HandlerError::unavailable), a year at
    /// most `[default: 10m]`. The time counts from the first such answer while the lane finishes nothing. After it the message is
    /// parked under its [`OnFailure`] policy, costs no attempt, and is tried again with backoff; the lane goes on.
    ///
    /// No effect under [`OnFailure::Block`], nor without a database, where a message cannot be parked: it waits in its lane.
    pub fn unavailable_limit(mut self, limit: Duration) -> Self {
        self.options.unavailable_limit = limit.min(A_YEAR);
        self
    }

    /// Sets what one transaction holds. Default: what the source prefers; [`BatchLimit::DEFAULT`] for a broker, and
    /// [`BatchLimit::ONE`] without a database.
    pub fn batch(mut self, batch: BatchLimit) -> Self {
        self.options.batch = Some(batch);
        self
    }

    /// Sets how old a message may be, by the time at which its event was written (the header `createdAt`; what lacks it is
    /// not judged). An older one is not handled: it becomes a failed message of kind `outside_window`, because its marker may be
    /// gone and it may have been applied; an operator who knows retries it. Default: any age, and the markers of
    /// the consumer are never [cleaned up](crate::cleanup).
    ///
    /// Choose it longer than anything comes back: the retention of the topics, the age at which failed messages are sent again,
    /// the reach of a replay. Made longer, or taken away, it brings back no marker that a cleanup has removed: messages of that
    /// time are set aside all the same, until they are older than the longer window anyway.
    pub fn dedup_window(mut self, window: Duration) -> Self {
        self.options.window = Some(window.min(A_CENTURY));
        self
    }

    /// Divides each lane of the source into so many by key, which run side by side, each with transactions of its own; 1 by
    /// default. The order of a key is kept; what has no key goes around.
    ///
    /// A slow handler then holds up the keys of its own lane alone. A partition needs as many connections of the database, and up
    /// to 4,096 of its messages may come again after a crash, as duplicates. Not for a source that keeps its place in the
    /// transaction of the effects, as a SQLite file does: it has one writer and would gain nothing.
    pub fn key_lanes(mut self, lanes: NonZeroU32) -> Self {
        self.options.key_lanes = lanes;
        self
    }

    /// Gives each message a transaction of its own, for handlers with effects outside the database: an effect is then
    /// repeated only when its own message fails or its commit is lost.
    pub fn one_by_one(self) -> Self {
        self.batch(BatchLimit::ONE)
    }
}

impl<S: Inbox, Src: Source> ConsumerBuilder<S, Src> {
    /// Checks the parts and puts them together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with everything that is wrong: the name, no handler, two handlers for a type, a policy
    /// that the store cannot keep.
    pub fn build(self) -> Result<Consumer<S, Src>, Error> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(
                Error::new(ErrorKind::InvalidConfiguration, problems.join("; ")).with("consumer", &self.name)
            );
        }
        let Options { limits, attempts, backoff, deadline, unavailable_limit, key_lanes, .. } = self.options;
        let capabilities = self.source.capabilities();
        let keeps_order = S::RUNS_AGAIN && capabilities.positions;
        let fitting = if keeps_order { OnFailure::ParkKey } else { OnFailure::DeadLetter };
        let preferred = if S::RUNS_AGAIN { capabilities.batch } else { BatchLimit::ONE };
        let stats = Stats::new(self.gates.holding());
        let mut gates = self.gates;
        if let Some(metrics) = &self.metrics {
            metrics.watch(&self.name, stats.clone());
            gates.count_into(metrics, &self.name);
        }
        let settings = Settings {
            name: self.name,
            run: Uuid::now_v7().simple().to_string().into(),
            // The handler's own deadline comes first: what it says is clearer.
            store: self.store.limited(deadline.saturating_add(Duration::from_secs(1))),
            router: self.router,
            around: self.around,
            rules: Rules {
                on_failure: self.options.on_failure.unwrap_or(fitting),
                retries_parked: S::RUNS_AGAIN,
                attempts,
                backoff,
                deadline,
                unavailable_limit,
                batch: self.options.batch.unwrap_or(preferred),
            },
            limits,
            window: DedupWindow::new(self.options.window),
            key_lanes,
            stats,
            cut_off: Shutdown::new(),
        };
        Ok(Consumer { settings, source: self.source, gates })
    }

    /// Returns everything that is wrong with the parts.
    fn problems(&self) -> Vec<String> {
        let Options { deadline, window, key_lanes, on_failure, .. } = &self.options;
        let mut problems: Vec<String> = self.router.problems().iter().map(Error::to_string).collect();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=200).contains(&self.name.len()) || !self.name.bytes().all(legal) {
            problems.push(format!(
                "consumer name {:?} is not 1 to 200 characters of a-z A-Z 0-9 . _ -",
                self.name
            ));
        }
        let mut refuse = |is_wrong: bool, problem: &str| {
            if is_wrong {
                problems.push(problem.to_owned());
            }
        };
        refuse(self.router.is_empty(), "no handler: add one with .on(handler)");
        refuse(deadline.is_zero(), "deadline of 0 would fail every message");
        refuse(
            window.is_some() && !S::RUNS_AGAIN,
            "without a database nothing is deduplicated, so there is no window",
        );
        if let Some(window) = window.filter(|window| *window < SHORTEST_WINDOW) {
            let problem =
                format!("window of {window:?} is shorter than an hour: clocks and outages need more");
            refuse(true, &problem);
        }
        refuse(
            *key_lanes > NonZeroU32::MIN && !self.source.capabilities().any_order,
            "this source keeps its place in the transaction of the effects, so a lane has one of them at a time: leave key_lanes out",
        );
        refuse(
            *on_failure == Some(OnFailure::ParkKey) && !S::RUNS_AGAIN,
            "nothing remembers which keys are held: ParkKey needs a database, use Block or FailedMessage",
        );
        problems
    }
}

impl<S: Store, Src> fmt::Debug for Consumer<S, Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("name", &self.settings.name)
            .field("router", &self.settings.router)
            .field("middleware", &self.settings.around.len())
            .field("gates", &self.gates)
            .field("on_failure", &self.settings.rules.on_failure)
            .field("parking_limits", &self.settings.limits)
            .field("attempts", &self.settings.rules.attempts)
            .field("backoff", &self.settings.rules.backoff)
            .field("deadline", &self.settings.rules.deadline)
            .field("unavailable_limit", &self.settings.rules.unavailable_limit)
            .field("batch", &self.settings.rules.batch)
            .field("window", &self.settings.window.length())
            .field("key_lanes", &self.settings.key_lanes)
            .finish_non_exhaustive()
    }
}

impl<S: Store, Src> fmt::Debug for ConsumerBuilder<S, Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("name", &self.name)
            .field("router", &self.router)
            .finish_non_exhaustive()
    }
}
