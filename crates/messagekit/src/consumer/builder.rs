//! Building a consumer.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::backoff::A_YEAR;
use super::builder_check::problems;
use super::deliver::NotedWindow;
use super::observers::Observers;
use super::options::Options;
use super::settings::{A_CENTURY, ATTEMPTS, CALLS, DEADLINE, Rules, Settings, UNAVAILABLE_LIMIT};
use super::watch::{DedupWindow, UnhandledTypes, warn_of_misspelt};
use super::{Backoff, Consumer, Delivered, OnFailure, Stats};
use crate::data_check::DataCheck;
use crate::gate::{Gate, Gates};
use crate::handler::{
    CallFn, EffectsFn, EventArgument, HandlerError, HandlerFn, IdempotentConsumer, Middleware, Never,
    OnNewerMinor, OnUnknown, Router, StateCallFn, StateEffectsFn, StateHandlerFn,
};
use crate::store::{Inbox, ParkingLimits, ReceivedMessage, Store, has};
use crate::transport::{BatchLimit, IntoSource, Source};
use crate::{Envelope, Error, ErrorKind, Event, Message, Shutdown};

impl<S: Inbox> Consumer<S, NoSource> {
    /// Starts building a consumer. `name` has 1 to 200 characters of `a-z A-Z 0-9 . _ -`.
    pub fn builder(name: impl Into<Arc<str>>, store: S) -> ConsumerBuilder<S, NoSource> {
        ConsumerBuilder {
            name: name.into(),
            store,
            source: Chosen { with_topics: Box::new(|_| NoSource), follows_handlers: false },
            router: Router::new(),
            around: Vec::new(),
            gates: Gates::default(),
            options: Options {
                on_failure: None,
                limits: ParkingLimits::default(),
                attempts: ATTEMPTS,
                backoff: Backoff::default(),
                deadline: None,
                unavailable_limit: UNAVAILABLE_LIMIT,
                batch: None,
                window: None,
                key_lanes: NonZeroU32::MIN,
                calls: NonZeroU32::new(CALLS).unwrap_or(NonZeroU32::MIN),
                classify: None,
                observers: Observers::default(),
            },
        }
    }
}

/// The source of a consumer that has none yet: call [`ConsumerBuilder::from`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoSource;

/// Collects the parts of a [`Consumer`]; see there.
#[must_use = "call build() to get the consumer"]
pub struct ConsumerBuilder<S: Store, Src> {
    name: Arc<str>,
    store: S,
    source: Chosen<Src>,
    router: Router<S>,
    around: Vec<Arc<dyn Middleware<S>>>,
    gates: Gates,
    options: Options,
}

/// The source that a user has named; it may wait for the topics of the handlers.
struct Chosen<Src> {
    with_topics: Box<dyn FnOnce(Vec<&'static str>) -> Src + Send>,
    follows_handlers: bool,
}

impl<S: Inbox> ConsumerBuilder<S, NoSource> {
    /// Sets the source to read from: topics of an adapter, as in `.from(kafka.topics(["orders.order"]))`, or the adapter itself,
    /// as in `.from(kafka)`, for the topics of the events that the handlers take.
    ///
    /// Name the topics if they have the prefix of an environment, and for handlers of messages, which take any.
    pub fn from<From: IntoSource>(self, source: From) -> ConsumerBuilder<S, From::Source> {
        ConsumerBuilder {
            name: self.name,
            store: self.store,
            source: Chosen {
                with_topics: Box::new(|topics| source.into_source(topics)),
                follows_handlers: From::FOLLOWS_HANDLERS,
            },
            router: self.router,
            around: self.around,
            gates: self.gates,
            options: self.options,
        }
    }
}

impl<S: Inbox, Src> ConsumerBuilder<S, Src> {
    /// Sets a router that was built elsewhere. It replaces handlers that were added before. Policies that were set before stay, unless
    /// the router has its own.
    pub fn router(mut self, router: Router<S>) -> Self {
        self.router = router.with_policies_of(self.router);
        self
    }

    /// Adds a handler of events; see [`Router::on`].
    pub fn on<A: EventArgument, H>(mut self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, A, Future: Send>,
    {
        self.router = self.router.on(handler);
        self
    }

    /// Adds a handler of events with a state; see [`Router::on_with`].
    pub fn on_with<State, A: EventArgument, H>(mut self, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, A, Future: Send>,
    {
        self.router = self.router.on_with(state, handler);
        self
    }

    /// Adds a handler of several events per call; see [`Router::on_batch`].
    pub fn on_batch<E: Event, H>(mut self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Vec<Envelope<E>>, Future: Send>,
    {
        self.router = self.router.on_batch(handler);
        self
    }

    /// Adds a handler of several events per call, with a state; see [`Router::on_batch_with`].
    pub fn on_batch_with<State, E: Event, H>(mut self, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Vec<Envelope<E>>, Future: Send>,
    {
        self.router = self.router.on_batch_with(state, handler);
        self
    }

    /// Adds a handler in two phases, a call and its effects; see [`Router::on_call`].
    pub fn on_call<E: Event, R, C, H>(mut self, call: C, effects: H) -> Self
    where
        R: Send + Sync + 'static,
        C: CallFn<Envelope<E>, R>,
        H: for<'a> EffectsFn<'a, S::Tx, Envelope<E>, R>,
    {
        self.router = self.router.on_call(call, effects);
        self
    }

    /// Adds a handler in two phases, with a state; see [`Router::on_call_with`].
    pub fn on_call_with<State, E: Event, R, C, H>(mut self, state: State, call: C, effects: H) -> Self
    where
        State: Send + Sync + 'static,
        R: Send + Sync + 'static,
        C: for<'a> StateCallFn<'a, State, Envelope<E>, R>,
        H: for<'a> StateEffectsFn<'a, State, S::Tx, Envelope<E>, R>,
    {
        self.router = self.router.on_call_with(state, call, effects);
        self
    }

    /// Adds an object that handles events; see [`Router::consumer`].
    pub fn consumer<C: IdempotentConsumer<S>>(mut self, consumer: C) -> Self {
        self.router = self.router.consumer(consumer);
        self
    }

    /// Adds a handler of raw messages; see [`Router::on_message`].
    pub fn on_message<H>(mut self, event_type: &str, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Message, Future: Send>,
    {
        self.router = self.router.on_message(event_type, handler);
        self
    }

    /// Adds a handler with a state; see [`Router::on_message_with`].
    pub fn on_message_with<State, H>(mut self, event_type: &str, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Message, Future: Send>,
    {
        self.router = self.router.on_message_with(event_type, state, handler);
        self
    }

    /// Adds a handler of events as JSON; see [`Router::on_json`].
    pub fn on_json<H>(mut self, event_type: &str, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Envelope<serde_json::Value>, Future: Send>,
    {
        self.router = self.router.on_json(event_type, handler);
        self
    }

    /// Adds a handler with a state; see [`Router::on_json_with`].
    pub fn on_json_with<State, H>(mut self, event_type: &str, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Envelope<serde_json::Value>, Future: Send>,
    {
        self.router = self.router.on_json_with(event_type, state, handler);
        self
    }

    /// Adds a handler in two phases of events as JSON; see [`Router::on_json_call`].
    pub fn on_json_call<R, C, H>(mut self, event_type: &str, call: C, effects: H) -> Self
    where
        R: Send + Sync + 'static,
        C: CallFn<Envelope<serde_json::Value>, R>,
        H: for<'a> EffectsFn<'a, S::Tx, Envelope<serde_json::Value>, R>,
    {
        self.router = self.router.on_json_call(event_type, call, effects);
        self
    }

    /// Adds a handler in two phases, with a state; see [`Router::on_json_call_with`].
    pub fn on_json_call_with<State, R, C, H>(
        mut self,
        event_type: &str,
        state: State,
        call: C,
        effects: H,
    ) -> Self
    where
        State: Send + Sync + 'static,
        R: Send + Sync + 'static,
        C: for<'a> StateCallFn<'a, State, Envelope<serde_json::Value>, R>,
        H: for<'a> StateEffectsFn<'a, State, S::Tx, Envelope<serde_json::Value>, R>,
    {
        self.router = self.router.on_json_call_with(event_type, state, call, effects);
        self
    }

    /// Adds a handler of all other messages; see [`Router::fallback`].
    pub fn fallback<H>(mut self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Message, Future: Send>,
    {
        self.router = self.router.fallback(handler);
        self
    }

    /// Adds a handler with a state; see [`Router::fallback_with`].
    pub fn fallback_with<State, H>(mut self, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Message, Future: Send>,
    {
        self.router = self.router.fallback_with(state, handler);
        self
    }

    /// Sets the policy for types without a handler. Default: ignored and counted.
    pub fn on_unknown(mut self, unknown: OnUnknown) -> Self {
        self.router = self.router.on_unknown(unknown);
        self
    }

    /// Sets the policy for data of a newer minor version than the handler's event. Default: it is read.
    pub fn on_newer_minor(mut self, newer_minor: OnNewerMinor) -> Self {
        self.router = self.router.on_newer_minor(newer_minor);
        self
    }

    /// Checks the data of each event against its schema before its handler gets it, as [`Router::validation`] does. Default: off.
    pub fn validation(mut self, validation: impl Into<Option<Arc<dyn DataCheck>>>) -> Self {
        self.router = self.router.validation(validation);
        self
    }

    /// Adds a middleware around every handler, inside earlier ones: the first one added runs first.
    pub fn wrap(mut self, middleware: impl Middleware<S>) -> Self {
        self.around.push(Arc::new(middleware));
        self
    }

    /// Adds a gate behind earlier ones.
    pub fn gate(mut self, gate: impl Gate + 'static) -> Self {
        self.gates.push(gate);
        self
    }

    /// Sets the policy for a message that cannot be applied. Default: [`OnFailure::ParkKey`] if the source has an order to keep
    /// (a log: Kafka, the embedded engine, memory) and the store is a database; [`OnFailure::Block`] if the store
    /// keeps no failed messages. Otherwise [`OnFailure::DeadLetter`].
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.options.on_failure = Some(policy);
        self
    }

    /// Sets the maximum number of messages that [`OnFailure::ParkKey`] parks; further messages wait in their lane. Default:
    /// 1,000 per key and 100,000 in total.
    pub fn parking_limits(mut self, limits: ParkingLimits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Sets the number of runs after which a message is dead. Default: 10. No effect under [`OnFailure::Block`].
    pub fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.options.attempts = attempts.get();
        self
    }

    /// Sets the waits between runs. Default: 200 ms, doubling, at most 5 minutes.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = backoff;
        self
    }

    /// Sets the deadline of a handler, at most a year. Default: 30 s. PostgreSQL cancels a statement that a handler leaves
    /// running one second later. A store may allow less: the embedded engine lets a transaction hold the file's write lock for
    /// 1 s. In a handler [in two phases](Router::on_call), each phase has the whole deadline.
    ///
    /// Before a message that seems to have crashed five processes is dead, its lane waits twice the deadline plus 5 s, and twice the deadline more for
    /// handlers in two phases. Other processes may be handling copies of it meanwhile.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline.min(A_YEAR));
        self
    }

    /// Sets the class of errors that a handler returns with `?`. Default: [`retryable`](HandlerError::retryable).
    ///
    /// The function gets the error and returns it through a constructor of [`HandlerError`]. It is not asked about an error that
    /// the handler has classified, nor about one that the store knows, such as a lost connection or a deadlock. It is asked about a value that the database
    /// refuses, which is [`permanent`](HandlerError::permanent) without it.
    ///
    /// ```
    /// # use messagekit_memory::{MemoryLog, MemoryStore};
    /// # use messagekit::{Consumer, HandlerError};
    /// # let (store, log) = (MemoryStore::new(), MemoryLog::new(1));
    /// let consumer = Consumer::builder("billing", store).from(log).classify_errors(|error| {
    ///     if error.is::<std::num::ParseIntError>() {
    ///         return HandlerError::permanent(error);
    ///     }
    ///     HandlerError::retryable(error)
    /// });
    /// # drop(consumer);
    /// ```
    pub fn classify_errors(
        mut self,
        classify: impl Fn(Box<dyn StdError + Send + Sync>) -> HandlerError + Send + Sync + 'static,
    ) -> Self {
        self.options.classify = Some(Arc::new(classify));
        self
    }

    /// Shows `observer` each message of the consumer with what became of it, after the commit and before the message is counted in
    /// [`Stats`]: handled, also by a retry; a duplicate; ignored; failed, with the kind and whether it is dead; or parked. Further
    /// observers are called in the order in which they were added. For counts, take [`Stats`] or the metrics.
    ///
    /// A run that was rolled back has no outcome, and neither has a message that waits for its dependency or its turn, or that is tried
    /// again in place. Each outcome is seen at most once: a process that ends just after the commit has shown it to no one, and what
    /// has to be known for certain is an event in the outbox. A message whose commit was not confirmed is seen as a duplicate when it
    /// arrives again, and a retry whose commit was not confirmed is not seen. What a store keeps no marker of, an ignored
    /// message and every one of a consumer [without a database](crate::NoStore), is seen anew at each delivery. An ignored message is not
    /// parsed, and its id is that of its position.
    ///
    /// The observer is called on the task of its lane and must not block. A panic in it is logged, and the message stays settled.
    ///
    /// ```
    /// # use messagekit_memory::{MemoryLog, MemoryStore};
    /// use messagekit::adapter::Next;
    /// # use messagekit::{Consumer, Delivered};
    /// # let (store, log) = (MemoryStore::new(), MemoryLog::new(1));
    /// let consumer = Consumer::builder("billing", store).from(log).observe(|received, outcome| match outcome {
    ///     Delivered::Failed(failure) if failure.next == Next::Dead => eprintln!("{} needs an operator", received.id),
    ///     Delivered::Duplicate => println!("{} came again", received.id),
    ///     _ => {}
    /// });
    /// # drop(consumer);
    /// ```
    pub fn observe(
        mut self,
        observer: impl Fn(&ReceivedMessage, &Delivered) + Send + Sync + 'static,
    ) -> Self {
        self.options.observers.add(observer);
        self
    }

    /// Sets how long a message may block its lane while its handler returns [`unavailable`](crate::HandlerError::unavailable),
    /// at most a year `[default: 10m]`. The time counts from the first such result while the lane finishes no message. After
    /// it, the message is parked under its [`OnFailure`] policy, costs no attempt, and is retried with backoff; the lane
    /// continues.
    ///
    /// No effect under [`OnFailure::Block`] or without retries, where a message cannot be parked: it waits in its lane.
    pub fn unavailable_limit(mut self, limit: Duration) -> Self {
        self.options.unavailable_limit = limit.min(A_YEAR);
        self
    }

    /// Sets the size of one transaction. Default: the preference of the source; [`BatchLimit::DEFAULT`] for a broker, and
    /// [`BatchLimit::ONE`] without retries of failed messages, as without a database.
    pub fn batch(mut self, batch: BatchLimit) -> Self {
        self.options.batch = Some(batch);
        self
    }

    /// Sets the maximum age of a message, counted from the time at which its event was written (the header `createdAt`; a
    /// message without it is not checked). An older message is not handled, because its marker may be deleted and it may have
    /// been applied. It becomes a failed message of kind `outside_window`, which an operator may retry. Default: any age, and
    /// the markers of the consumer are never [cleaned up](crate::cleanup).
    ///
    /// Choose a window longer than the retention of the topics, the age at which failed messages are published again, and the
    /// reach of a replay. A longer window, or none, does not restore markers that a cleanup has removed. Messages of that time
    /// are still set aside until they are older than the longer window.
    pub fn dedup_window(mut self, window: Duration) -> Self {
        self.options.window = Some(window.min(A_CENTURY));
        self
    }

    /// Divides each lane of the source by key into this many key lanes, which run concurrently, each with its own transactions.
    /// Default: 1. The order of a key is kept; messages without a key are distributed in turn.
    ///
    /// A slow handler then delays only the keys of its own key lane. A partition needs as many database connections as key
    /// lanes. After a crash, up to 4,096 of its messages may be delivered again, as duplicates. Do not use it for a source that
    /// keeps its position in the transaction of the effects, such as a SQLite file: it has one writer and would gain nothing.
    pub fn key_lanes(mut self, lanes: NonZeroU32) -> Self {
        self.options.key_lanes = lanes;
        self
    }

    /// Sets how many calls of one batch run at once, in handlers [in two phases](Router::on_call) `[default: 8]`. Batches of other lanes make
    /// theirs beside them.
    pub fn calls_at_once(mut self, calls: NonZeroU32) -> Self {
        self.options.calls = calls;
        self
    }

    /// Gives each message its own transaction, for handlers with effects outside the database. An effect is then repeated only
    /// if its own message fails or its commit is lost.
    pub fn one_by_one(self) -> Self {
        self.batch(BatchLimit::ONE)
    }
}

impl<S: Inbox, Src> ConsumerBuilder<S, Src> {
    /// Checks the parts and builds the consumer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with a list of all problems: the name, no handler, two handlers for a type, topics that
    /// are missing, ill-formed or named twice, an event whose topic the source does not read, a policy or a deadline that the
    /// store does not support. A retry does not help.
    pub fn build(self) -> Result<Consumer<S, Src>, Error>
    where
        Src: Source,
    {
        let Self { name, store, source: chosen, router, around, gates, options } = self;
        let topics: BTreeSet<&'static str> = router.topics().into_iter().map(|(_, topic)| topic).collect();
        let source = (chosen.with_topics)(topics.into_iter().collect());
        let mut problems = problems(&name, &store, &source, &router, &options);
        if chosen.follows_handlers && router.takes_any_topic() {
            problems
                .push("a handler of messages or JSON takes any topic: name the topics of the source".into());
        }
        if !problems.is_empty() {
            let text = problems.join("; ");
            return Err(Error::new(ErrorKind::InvalidConfiguration, text).with("consumer", &name));
        }
        warn_of_misspelt(&name, &router.types_by_text(), &router.types_of_events());
        let Options { limits, attempts, backoff, unavailable_limit, key_lanes, calls, .. } = options;
        let deadline = options.deadline.unwrap_or(DEADLINE);
        let capabilities = source.capabilities();
        let (sets_aside, runs_again) = (has::<S, S::FailedMessages>(), has::<S, S::Retries>());
        let fitting = match (sets_aside, runs_again && capabilities.positions) {
            (false, _) => OnFailure::Block,
            (true, true) => OnFailure::ParkKey,
            (true, false) => OnFailure::DeadLetter,
        };
        // Without retries, the messages before a failed one of a batch would run again with it, in a store without transactions.
        let preferred = if sets_aside && !runs_again { BatchLimit::ONE } else { capabilities.batch };
        if !has::<S, S::Attempts>() {
            tracing::info!(
                consumer = &*name,
                "the store counts no crashes: a message that ends its process is delivered again without limit"
            );
        }
        let stats = Stats::new(gates.states());
        let settings = Settings {
            name,
            system: capabilities.system,
            run: Uuid::now_v7().simple().to_string().into(),
            // The handler's own deadline comes first, because its error is clearer.
            store: store.limited(deadline.saturating_add(Duration::from_secs(1))),
            around,
            rules: Rules {
                calls: router.calls_first().then_some(calls),
                on_failure: options.on_failure.unwrap_or(fitting),
                sets_aside,
                runs_again,
                attempts,
                backoff,
                deadline,
                unavailable_limit,
                batch: options.batch.unwrap_or(preferred),
            },
            router: Arc::new(router),
            limits,
            window: DedupWindow::new(options.window),
            key_lanes,
            stats,
            unhandled_types: UnhandledTypes::default(),
            classify: options.classify,
            observers: options.observers,
            frontiers: None,
            cut_off: Shutdown::new(),
        };
        let (source, gates) = (Mutex::new(source), Mutex::new(gates));
        Ok(Consumer { settings: Arc::new(settings), source, gates, noted: NotedWindow::default() })
    }
}

/// Implemented for nothing: its text is what a user reads who forgets to build a consumer.
#[diagnostic::on_unimplemented(
    message = "the consumer is not built yet",
    label = "call `build()?` before `run`",
    note = "`build` checks the parts of the consumer, and names everything that is wrong with them"
)]
pub trait Built: Never {}

impl<S: Store, Src> ConsumerBuilder<S, Src> {
    /// Is never called: it says where a `build()` is missing.
    #[doc(hidden)]
    pub fn run<Ending>(self, _: Ending) -> std::future::Ready<Result<(), Error>>
    where
        Self: Built,
    {
        Self::never()
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
