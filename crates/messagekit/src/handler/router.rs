//! Maps event types to handlers.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::batch::{Several, SeveralWithState};
use super::catch_all::{CatchAll, TakesAll, Unread};
use super::function::{Erased, Function, Object};
use super::route::{Reads, Route};
use super::state::WithState;
use super::two_phases::TwoPhases;
use super::two_phases_with_state::TwoPhasesWithState;
use super::versions::Versions;
use super::{
    CallFn, EffectsFn, EventArgument, HandlerFn, IdempotentConsumer, OnNewerMinor, OnUnknown, StateCallFn,
    StateEffectsFn, StateHandlerFn,
};
use crate::data_check::DataCheck;
use crate::message::{ReadVersions, codec, identify};
use crate::store::{Failure, FailureKind, ReceivedMessage, Store};
use crate::{Envelope, Error, ErrorKind, Event, Message, MessageId, Meta, Position};

/// Handlers by event type. Clones share them, so one router can serve several consumers of a store.
///
/// ```
/// use messagekit_memory::{MemoryStore, MemoryTx};
/// use messagekit::{Envelope, Event, HandlerError, Router};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String }
///
/// async fn on_placed(tx: &mut MemoryTx, event: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
///     Ok(())
/// }
///
/// let router = Router::<MemoryStore>::new().on(on_placed);
/// assert_eq!(router.types(), ["orders.order.placed"]);
/// ```
pub struct Router<S: Store> {
    routes: HashMap<String, Versions<S>>,
    fallback: Option<Route<S>>,
    /// Takes every message instead of any other handler.
    all: Option<Arc<dyn TakesAll<S>>>,
    /// Policies are absent until they are set.
    unknown: Option<OnUnknown>,
    newer_minor: Option<OnNewerMinor>,
    validation: Option<Arc<dyn DataCheck>>,
    problems: Vec<Error>,
}

/// The task for a received message.
pub(crate) enum Task<S: Store> {
    Handle {
        handler: Arc<dyn Erased<S>>,
        meta: Meta,
    },
    /// No handler takes its type, which is given unless a header names it.
    Ignore(Option<String>),
    /// It cannot be handled.
    SetAside(Failure),
    /// It cannot be handled, and its lane waits for it: its transaction claims it, and fails unless the message was finished before. Only a
    /// consumer chooses this task, never a router.
    Block(Failure),
}

impl<S: Store> Router<S> {
    /// Creates a router without handlers.
    pub fn new() -> Self {
        Self {
            routes: HashMap::new(),
            fallback: None,
            all: None,
            unknown: None,
            newer_minor: None,
            validation: None,
            problems: Vec::new(),
        }
    }

    /// Creates a router that reads no message and passes all of them to one handler.
    pub fn catch_all(all: impl CatchAll<S>) -> Self {
        Self { all: Some(Arc::new(Unread(all))), ..Self::new() }
    }

    /// Adds a handler for the event type and the major version that the function takes.
    ///
    /// Handlers of several major versions of a type stand side by side, each with its struct. Data of a version goes to the
    /// handler of its major version, else to the lowest one whose event is [upcast](Event::read_earlier) from it. Data that no
    /// handler reads becomes a dead letter, which says the versions and what to do.
    #[must_use]
    pub fn on<A: EventArgument, H>(self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, A, Future: Send>,
    {
        self.typed::<A::Event>(Arc::new(Function(handler, PhantomData)))
    }

    /// Adds a handler for the event type that the function takes, with a shared state before the transaction.
    ///
    /// An `Arc<A>` reaches the handler as `&A`, and a tuple of two to four of them as a reference to each. A handler keeps what it
    /// needs here, because an `async` closure cannot capture variables.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use messagekit_memory::{MemoryStore, MemoryTx};
    /// use messagekit::{Envelope, Event, HandlerError, Outbox, Router};
    /// # use serde::{Deserialize, Serialize};
    ///
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(type = "orders.order.placed", key = "order_id")]
    /// # struct OrderPlaced { order_id: String }
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(type = "billing.bill.issued", key = "order_id")]
    /// # struct BillIssued { order_id: String, pence: i64 }
    /// struct Prices { base: i64 }
    ///
    /// async fn bill(
    ///     prices: &Prices,
    ///     outbox: &Outbox<MemoryStore>,
    ///     tx: &mut MemoryTx,
    ///     order: Envelope<OrderPlaced>,
    /// ) -> Result<(), HandlerError> {
    ///     let issued = BillIssued { order_id: order.data.order_id, pence: prices.base };
    ///     outbox.add(tx, issued).await?;
    ///     Ok(())
    /// }
    ///
    /// let prices = Arc::new(Prices { base: 1_250 });
    /// let outbox = Arc::new(Outbox::new(MemoryStore::new(), "billing")?);
    /// let router = Router::<MemoryStore>::new().on_with((prices, outbox), bill);
    /// assert_eq!(router.types(), ["orders.order.placed"]);
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    #[must_use]
    pub fn on_with<State, A: EventArgument, H>(self, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, A, Future: Send>,
    {
        self.typed::<A::Event>(Arc::new(WithState(state, handler, PhantomData)))
    }

    /// Adds a handler for the event type that the function takes, with several events per call. A call contains adjacent events
    /// of a lane, in order, in one transaction. Use it for handlers that write many rows with one statement.
    ///
    /// A call takes at most the events of one batch; a failed event is retried by itself. The deadline applies to the call. A
    /// failure without an index from [`HandlerError::at`](crate::HandlerError::at) rolls all events back and halves them until
    /// the failing event is alone. The other events may therefore run again, up to 8 times in a batch of 200.
    ///
    /// ```
    /// use messagekit_memory::{MemoryStore, MemoryTx};
    /// use messagekit::{Envelope, Event, HandlerError, Router};
    /// # use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(type = "till.receipt.printed", key = "till")]
    /// struct ReceiptPrinted { till: String, pence: i64 }
    ///
    /// async fn book(tx: &mut MemoryTx, receipts: Vec<Envelope<ReceiptPrinted>>) -> Result<(), HandlerError> {
    ///     if let Some(index) = receipts.iter().position(|receipt| receipt.data.pence < 0) {
    ///         return Err(HandlerError::permanent("less than nothing").at(index));
    ///     }
    ///     tx.add("takings", receipts.iter().map(|receipt| receipt.data.pence).sum());
    ///     Ok(())
    /// }
    ///
    /// let router = Router::<MemoryStore>::new().on_batch(book);
    /// ```
    #[must_use]
    pub fn on_batch<E: Event, H>(self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Vec<Envelope<E>>, Future: Send>,
    {
        self.typed::<E>(Arc::new(Several(handler, PhantomData)))
    }

    /// Adds a handler as [`on_batch`](Self::on_batch) does, with a shared state as [`on_with`](Self::on_with) has it.
    #[must_use]
    pub fn on_batch_with<State, E: Event, H>(self, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Vec<Envelope<E>>, Future: Send>,
    {
        let handler = SeveralWithState(state, handler, PhantomData);
        self.typed::<E>(Arc::new(handler))
    }

    /// Adds a handler in two phases for the event type that both functions take: `call` asks another service, outside of any
    /// transaction, and `effects` gets what it returned, in the transaction that also marks the event as processed.
    ///
    /// A call is made **at least once**: a process may end between the call and the commit of its effects, and a failed run begins
    /// anew with its call. Give the service the [event id](crate::Meta::event_id) as its idempotency key. A call is not made for an event whose
    /// marker says that it was handled or set aside, and its result outlives a rollback: effects that met a lock conflict or an outage run again
    /// without it.
    ///
    /// Calls of a batch run side by side, at most [`calls_at_once`](crate::ConsumerBuilder::calls_at_once) of them; those of one key follow each
    /// other. The effects keep their order. The deadline applies to each phase, gates to the call, and an error of either phase means
    /// [the same](crate::HandlerError). A [`Middleware`](crate::Middleware) runs around the effects.
    ///
    /// ```
    /// use messagekit_memory::{MemoryStore, MemoryTx};
    /// use messagekit::{Envelope, Event, HandlerError, Router};
    /// # use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(type = "orders.order.placed", key = "order_id")]
    /// struct OrderPlaced { order_id: String, pence: i64 }
    ///
    /// struct Charge { fee: i64 }
    ///
    /// async fn charge(order: Envelope<OrderPlaced>) -> Result<Charge, HandlerError> {
    ///     // Here a program asks its provider, with `order.event_id` as the idempotency key.
    ///     Ok(Charge { fee: order.data.pence / 100 })
    /// }
    ///
    /// async fn book(tx: &mut MemoryTx, order: Envelope<OrderPlaced>, charge: &Charge) -> Result<(), HandlerError> {
    ///     tx.add("takings", order.data.pence - charge.fee);
    ///     Ok(())
    /// }
    ///
    /// let router = Router::<MemoryStore>::new().on_call(charge, book);
    /// assert_eq!(router.types(), ["orders.order.placed"]);
    /// ```
    #[must_use]
    pub fn on_call<E: Event, R, C, H>(self, call: C, effects: H) -> Self
    where
        R: Send + Sync + 'static,
        C: CallFn<Envelope<E>, R>,
        H: for<'a> EffectsFn<'a, S::Tx, Envelope<E>, R>,
    {
        self.typed::<E>(Arc::new(TwoPhases(call, effects, PhantomData)))
    }

    /// Adds a handler in two phases as [`on_call`](Self::on_call) does, with a shared state as [`on_with`](Self::on_with) has it,
    /// before the other arguments of both functions.
    #[must_use]
    pub fn on_call_with<State, E: Event, R, C, H>(self, state: State, call: C, effects: H) -> Self
    where
        State: Send + Sync + 'static,
        R: Send + Sync + 'static,
        C: for<'a> StateCallFn<'a, State, Envelope<E>, R>,
        H: for<'a> StateEffectsFn<'a, State, S::Tx, Envelope<E>, R>,
    {
        self.typed::<E>(Arc::new(TwoPhasesWithState(state, call, effects, PhantomData)))
    }

    /// Adds an object that handles events of its type.
    #[must_use]
    pub fn consumer<C: IdempotentConsumer<S>>(self, consumer: C) -> Self {
        self.typed::<C::Event>(Arc::new(Object(consumer)))
    }

    /// Adds a handler for raw messages of a type, whatever their payload is.
    ///
    /// Take the type from its event where there is one, `on_message(OrderPlaced::TYPE, handler)`: a text can be misspelt.
    /// [`build`](crate::ConsumerBuilder::build) logs a warning for one that is almost the type of an event that the consumer knows.
    #[must_use]
    pub fn on_message<H>(self, event_type: &str, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Message, Future: Send>,
    {
        self.route(event_type, Arc::new(Function(handler, PhantomData)), Reads::Message, None)
    }

    /// Adds a handler as [`on_message`](Self::on_message) does, with a shared state as [`on_with`](Self::on_with) has it.
    #[must_use]
    pub fn on_message_with<State, H>(self, event_type: &str, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Message, Future: Send>,
    {
        self.route(event_type, Arc::new(WithState(state, handler, PhantomData)), Reads::Message, None)
    }

    /// Adds a handler for messages of a type as a JSON value, with a parsed envelope. The value is the whole object, envelope
    /// fields included.
    ///
    /// It takes data of every version, which no struct refuses. With a strict validation, too,
    /// data of a major version without a schema comes to it unchecked: look at the version, or give that version a schema.
    #[must_use]
    pub fn on_json<H>(self, event_type: &str, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Envelope<serde_json::Value>, Future: Send>,
    {
        self.route(event_type, Arc::new(Function(handler, PhantomData)), Reads::Json, None)
    }

    /// Adds a handler as [`on_json`](Self::on_json) does, with a shared state as [`on_with`](Self::on_with) has it.
    #[must_use]
    pub fn on_json_with<State, H>(self, event_type: &str, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Envelope<serde_json::Value>, Future: Send>,
    {
        self.route(event_type, Arc::new(WithState(state, handler, PhantomData)), Reads::Json, None)
    }

    /// Adds a handler in two phases for messages of a type as a JSON value: [`on_call`](Self::on_call) over what
    /// [`on_json`](Self::on_json) reads.
    #[must_use]
    pub fn on_json_call<R, C, H>(self, event_type: &str, call: C, effects: H) -> Self
    where
        R: Send + Sync + 'static,
        C: CallFn<Envelope<serde_json::Value>, R>,
        H: for<'a> EffectsFn<'a, S::Tx, Envelope<serde_json::Value>, R>,
    {
        self.route(event_type, Arc::new(TwoPhases(call, effects, PhantomData)), Reads::Json, None)
    }

    /// Adds a handler as [`on_json_call`](Self::on_json_call) does, with a shared state as [`on_call_with`](Self::on_call_with) has it.
    #[must_use]
    pub fn on_json_call_with<State, R, C, H>(
        self,
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
        self.route(
            event_type,
            Arc::new(TwoPhasesWithState(state, call, effects, PhantomData)),
            Reads::Json,
            None,
        )
    }

    /// Adds a handler for every message whose type has no other handler.
    #[must_use]
    pub fn fallback<H>(self, handler: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Message, Future: Send>,
    {
        self.rest(Arc::new(Function(handler, PhantomData)))
    }

    /// Adds a handler as [`fallback`](Self::fallback) does, with a shared state as [`on_with`](Self::on_with) has it.
    #[must_use]
    pub fn fallback_with<State, H>(self, state: State, handler: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Message, Future: Send>,
    {
        self.rest(Arc::new(WithState(state, handler, PhantomData)))
    }

    /// Sets the policy for a type without a handler, if there is no fallback.
    #[must_use]
    pub fn on_unknown(mut self, unknown: OnUnknown) -> Self {
        self.unknown = Some(unknown);
        self
    }

    /// Sets the policy for data of a newer minor version than the handler's event.
    #[must_use]
    pub fn on_newer_minor(mut self, newer_minor: OnNewerMinor) -> Self {
        self.newer_minor = Some(newer_minor);
        self
    }

    /// Checks the data of each event against its schema before a handler that reads data gets it. Events that do not match become
    /// dead letters of kind `undecodable`, or are logged.
    #[must_use]
    pub fn validation(mut self, validation: impl Into<Option<Arc<dyn DataCheck>>>) -> Self {
        self.validation = validation.into();
        self
    }

    /// Takes the policies of another router that are not set here.
    pub(crate) fn with_policies_of(mut self, other: Self) -> Self {
        self.unknown = self.unknown.or(other.unknown);
        self.newer_minor = self.newer_minor.or(other.newer_minor);
        self.validation = self.validation.or(other.validation);
        self
    }

    /// Returns the types with their own handler, sorted.
    pub fn types(&self) -> Vec<&str> {
        let mut types: Vec<&str> = self.routes.keys().map(String::as_str).collect();
        types.sort_unstable();
        types
    }

    fn typed<E: Event>(self, handler: Arc<dyn Erased<S>>) -> Self {
        self.route(E::TYPE, handler, Reads::Event(ReadVersions::of::<E>()), Some(E::TOPIC))
    }

    fn rest(mut self, handler: Arc<dyn Erased<S>>) -> Self {
        if self.fallback.is_some() {
            let problem = Error::new(ErrorKind::InvalidConfiguration, "two fallback handlers: keep one");
            self.problems.push(problem);
        }
        self.fallback = Some(Route { handler, topic: None, reads: Reads::Message });
        self
    }

    fn route(
        mut self,
        event_type: &str,
        handler: Arc<dyn Erased<S>>,
        reads: Reads,
        topic: Option<&'static str>,
    ) -> Self {
        let route = Route { handler, topic, reads };
        match self.routes.get_mut(event_type) {
            None => drop(self.routes.insert(event_type.to_owned(), Versions::new(route))),
            Some(versions) => {
                if let Err(text) = versions.add(route) {
                    let problem = Error::new(ErrorKind::InvalidConfiguration, text);
                    self.problems.push(problem.with("event_type", event_type));
                }
            }
        }
        self
    }

    /// Returns the event types whose events have a known topic, with it, sorted.
    pub(crate) fn topics(&self) -> Vec<(&str, &'static str)> {
        let mut known: Vec<_> = self
            .routes
            .iter()
            .flat_map(|(event_type, versions)| versions.routes().map(move |route| (event_type, route.topic)))
            .filter_map(|(event_type, topic)| Some((event_type.as_str(), topic?)))
            .collect();
        known.sort_unstable();
        known.dedup();
        known
    }

    /// Returns the event types that are named by a text alone, sorted.
    pub(crate) fn types_by_text(&self) -> Vec<&str> {
        let by_text = |versions: &Versions<S>| versions.routes().all(|route| route.topic.is_none());
        let mut types: Vec<_> = self.routes.iter().filter(|(_, versions)| by_text(versions)).collect();
        types.sort_unstable_by_key(|(event_type, _)| *event_type);
        types.into_iter().map(|(event_type, _)| event_type.as_str()).collect()
    }

    /// Returns the event types of events: those that handlers take, and those that have a schema.
    pub(crate) fn types_of_events(&self) -> Vec<&str> {
        let handled = self.topics().into_iter().map(|(event_type, _)| event_type);
        handled.chain(self.validation.iter().flat_map(|validation| validation.types())).collect()
    }

    /// Returns whether a handler takes messages whose topic its type does not name.
    pub(crate) fn takes_any_topic(&self) -> bool {
        self.all.is_some() || self.fallback.is_some() || self.all_routes().any(|route| route.topic.is_none())
    }

    /// Returns whether a handler makes a call before its transaction.
    pub(crate) fn calls_first(&self) -> bool {
        self.all_routes().any(|route| route.handler.first_phase().is_some())
    }

    fn all_routes(&self) -> impl Iterator<Item = &Route<S>> {
        self.routes.values().flat_map(Versions::routes)
    }

    /// Returns the problems of the registrations.
    pub(crate) fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// Returns whether a message without a handler becomes a failed message.
    pub(crate) fn keeps_unknown(&self) -> bool {
        self.unknown == Some(OnUnknown::DeadLetter)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.fallback.is_none() && self.all.is_none()
    }

    /// Decides on the task of a delivery and on its id.
    pub(crate) fn prepare(&self, message: Message, position: Option<Position>) -> (ReceivedMessage, Task<S>) {
        if let Some(all) = &self.all {
            let id = all.id(&message, position.as_ref());
            let meta = Meta::unread(id.clone(), message.event_type().unwrap_or_default(), &message);
            let task = Task::Handle { handler: Arc::<dyn TakesAll<S>>::clone(all), meta };
            return (ReceivedMessage { id, message, position }, task);
        }
        // Without a usable identity, the id comes from the position, so the message cannot collide with a producer's id.
        // Without a position, equal bytes are the same message.
        let stand_in = || position.as_ref().map_or_else(|| MessageId::of_contents(&message), MessageId::at);
        let (id, task) = match self.task(&message) {
            Ok((id, task)) => (id.unwrap_or_else(stand_in), task),
            Err(failure) => (stand_in(), Task::SetAside(failure)),
        };
        (ReceivedMessage { id, message, position }, task)
    }

    /// A message with a valid identity keeps its id even if it cannot be handled.
    fn task(&self, message: &Message) -> Result<(Option<MessageId>, Task<S>), Failure> {
        if let Some(failure) = Failure::of_unreadable(message) {
            return Err(failure);
        }
        // The header has the type of nearly all messages. A message that no handler takes is not parsed.
        let named = message.event_type();
        if let Some(event_type) = named
            && !self.routes.contains_key(event_type)
            && self.fallback.is_none()
            && self.unknown.unwrap_or_default() == OnUnknown::Ignore
        {
            return Ok((None, Task::Ignore(None)));
        }
        let raw = named.is_some_and(|event_type| match self.routes.get(event_type) {
            Some(versions) => versions.reads_no_payload(),
            None => self.fallback.is_some(),
        });
        let meta = if raw {
            Meta::from_headers(message).unwrap_or_else(|| identify(message))
        } else {
            identify(message)
        };
        let meta = meta.map_err(|unusable| unusable.0)?;
        let id = Some(meta.event_id.clone());
        let route = match (self.routes.get(&meta.event_type), &self.fallback) {
            (Some(versions), _) => versions.of(&meta.data_version, self.newer_minor.unwrap_or_default()),
            (None, Some(fallback)) => Ok(fallback),
            (None, None) if self.unknown.unwrap_or_default() == OnUnknown::Ignore => {
                return Ok((id, Task::Ignore(Some(meta.event_type))));
            }
            (None, None) => Err(Failure::permanent(
                FailureKind::UnknownType,
                "no handler for this event type: deploy one, then retry",
            )),
        };
        let checked = route.and_then(|route| self.check(route, message, &meta).map(|()| route));
        let task = match checked {
            Ok(route) => Task::Handle { handler: Arc::clone(&route.handler), meta },
            Err(failure) => Task::SetAside(failure),
        };
        Ok((id, task))
    }

    /// Checks data against its schema, if the handler reads data.
    fn check(&self, route: &Route<S>, message: &Message, meta: &Meta) -> Result<(), Failure> {
        let Some(validation) = self.validation.as_ref().filter(|_| !matches!(route.reads, Reads::Message))
        else {
            return Ok(());
        };
        // What cannot be read at all is said by the handler's own reading.
        let Ok(data) = codec::data_of(message) else { return Ok(()) };
        validation
            .check(&meta.event_type, &meta.data_version, &data)
            .map_err(|text| Failure::permanent(FailureKind::Undecodable, text))
    }
}

impl<S: Store> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Store> Clone for Router<S> {
    fn clone(&self) -> Self {
        Self {
            routes: self.routes.clone(),
            fallback: self.fallback.clone(),
            all: self.all.clone(),
            unknown: self.unknown,
            newer_minor: self.newer_minor,
            validation: self.validation.clone(),
            problems: self.problems.clone(),
        }
    }
}

impl<S: Store> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("types", &self.types())
            .field("unknown", &self.unknown.unwrap_or_default())
            .finish_non_exhaustive()
    }
}
