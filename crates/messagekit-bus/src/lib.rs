//! Events inside one process: listeners that share the transaction of the caller.
//!
//! [`EventBus::dispatch`] calls each listener of an event in the transaction of the caller, so that a rollback takes their rows and
//! their events along. A listener has the form of a handler of a [`Consumer`](messagekit::Consumer): it can become one when its module
//! moves into another process, and the event then goes through the [`Outbox`].

mod dispatch;
mod listener;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use dispatch::{Dispatch, DispatchStage};
use listener::{Function, Listener, ToOutbox, WithState};

use messagekit::adapter::OutboxRows;
use messagekit::handler::{HandlerError, HandlerFn, StateHandlerFn};
use messagekit::{Envelope, Event, Outbox, Store};

type Hook = Arc<dyn Fn(&Dispatch<'_>) + Send + Sync>;

/// The listeners of one process, by the event that they take.
///
/// A clone has the same listeners, and only the [switch](Self::set_enabled) is shared. A listener cannot have its own bus as a state, because the bus is
/// made of its listeners: events that follow from an event go to an [`Outbox`], or to a second bus.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit_bus::EventBus;
/// use messagekit::{Envelope, Event, HandlerError, Outbox};
/// use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String, pieces: i64 }
///
/// async fn reserve(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
///     tx.add("reserved", order.data.pieces);
///     Ok(())
/// }
///
/// let log = MemoryLog::new(1);
/// let store = MemoryStore::with_log(&log);
/// let outbox = Outbox::new(store.clone(), "shop")?;
/// let bus = EventBus::new().on(reserve).publish::<OrderPlaced>(&outbox);
///
/// outbox.transaction(async |tx| {
///     tx.add("orders", 1);
///     bus.dispatch(tx, OrderPlaced { order_id: "o-1".into(), pieces: 3 }).await?;
///     Ok(())
/// }).await?;
/// assert_eq!((store.get("orders"), store.get("reserved"), log.len("orders.order")), (1, 3, 1));
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
pub struct EventBus<S: Store> {
    listeners: HashMap<TypeId, Vec<Arc<dyn Listener<S>>>>,
    hooks: Vec<Hook>,
    is_enabled: Arc<AtomicBool>,
}

impl<S: Store> EventBus<S> {
    /// Creates a bus without listeners, switched on.
    pub fn new() -> Self {
        Self { listeners: HashMap::new(), hooks: Vec::new(), is_enabled: Arc::new(AtomicBool::new(true)) }
    }

    /// Adds a listener: an `async fn(&mut Tx, Envelope<E>) -> Result<(), HandlerError>`. Each listener gets a clone of the event.
    #[must_use]
    pub fn on<E: Event + Clone, H>(self, listener: H) -> Self
    where
        H: for<'a> HandlerFn<'a, S::Tx, Envelope<E>, Future: Send>,
    {
        self.with::<E>(Function(listener, PhantomData))
    }

    /// Adds a listener with a shared state before the transaction. An `Arc<A>` reaches it as `&A`, and a tuple of two to four of them as
    /// a reference to each.
    #[must_use]
    pub fn on_with<State, E: Event + Clone, H>(self, state: State, listener: H) -> Self
    where
        State: Send + Sync + 'static,
        H: for<'a> StateHandlerFn<'a, State, S::Tx, Envelope<E>, Future: Send>,
    {
        self.with::<E>(WithState(state, listener, PhantomData))
    }

    fn with<E: Event>(mut self, listener: impl Listener<S> + 'static) -> Self {
        self.listeners.entry(TypeId::of::<E>()).or_default().push(Arc::new(listener));
        self
    }

    /// Adds a hook, which observes each dispatch: for logs, counts and tests. It runs while the transaction of the caller is open, so it
    /// should take no time. A hook that panics changes nothing but the log.
    #[must_use]
    pub fn hook(mut self, hook: impl Fn(&Dispatch<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Calls the listeners of an event in the order in which they were added, and returns how many there are. Without a listener
    /// nothing happens, and neither does while the bus is switched off: both are seen by [hooks](Self::hook).
    ///
    /// The struct decides: a listener of another struct of the same type of event is not called. The envelope is the caller's: its `source` is
    /// empty unless the caller set it, and its [`delivery`](Envelope::delivery) is that of the message it came with, if any.
    ///
    /// # Errors
    /// The error of the first listener that fails; those behind it are not called. The caller must then roll the transaction back,
    /// which holds the effects of those before it: [`Outbox::transaction`] does with `?`.
    ///
    /// # Cancel safety
    /// A dropped dispatch leaves the effects of the listeners that ran in the transaction: roll it back.
    pub async fn dispatch<E: Event>(
        &self,
        tx: &mut S::Tx,
        event: impl Into<Envelope<E>>,
    ) -> Result<usize, HandlerError> {
        let event = event.into();
        let observe = |listener, stage: DispatchStage<'_>| {
            self.observe(&Dispatch {
                event_type: &event.event_type,
                event_id: &event.event_id,
                listener,
                stage,
            });
        };
        if !self.is_enabled() {
            observe(None, DispatchStage::Disabled);
            return Ok(0);
        }
        let listeners = self.listeners.get(&TypeId::of::<E>()).map(Vec::as_slice).unwrap_or_default();
        if listeners.is_empty() {
            observe(None, DispatchStage::NoListener);
        }
        for listener in listeners {
            let name = Some(listener.name());
            observe(name, DispatchStage::Begins);
            match listener.call(tx, &event as &(dyn Any + Send + Sync)).await {
                Ok(()) => observe(name, DispatchStage::Done),
                Err(error) => {
                    observe(name, DispatchStage::Failed(&error));
                    return Err(error);
                }
            }
        }
        Ok(listeners.len())
    }

    /// Switches the bus and its clones on or off. Switched off, it calls no listener, and [publishes](Self::publish) nothing either: what
    /// callers commit meanwhile is without its events. A warning in the log says so.
    pub fn set_enabled(&self, is_enabled: bool) {
        let was_enabled = self.is_enabled.swap(is_enabled, Ordering::Relaxed);
        match (was_enabled, is_enabled) {
            (true, false) => {
                tracing::warn!("the bus is switched off: no listener is called, and nothing is published");
            }
            (false, true) => tracing::info!("the bus is switched on again"),
            _ => {}
        }
    }

    /// Returns whether the bus calls listeners.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled.load(Ordering::Relaxed)
    }

    fn observe(&self, dispatch: &Dispatch<'_>) {
        tracing::debug!(
            event_type = dispatch.event_type,
            event_id = %dispatch.event_id,
            listener = dispatch.listener,
            stage = %dispatch.stage,
            "dispatch"
        );
        for hook in &self.hooks {
            if catch_unwind(AssertUnwindSafe(|| hook(dispatch))).is_err() {
                tracing::error!(event_type = dispatch.event_type, "hook of the bus panicked");
            }
        }
    }
}

impl<S: OutboxRows> EventBus<S> {
    /// Adds a listener that writes the event to an outbox, in the transaction of the caller and under the id that the other listeners
    /// see. It writes the envelope as it is: do not dispatch an event that a consumer has received on a bus that publishes it, because it would be
    /// written under the same id again.
    #[must_use]
    pub fn publish<E: Event + Clone>(self, outbox: &Outbox<S>) -> Self {
        self.with::<E>(ToOutbox::<S, E>(outbox.clone(), PhantomData))
    }
}

impl<S: Store> Default for EventBus<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Store> Clone for EventBus<S> {
    fn clone(&self) -> Self {
        Self {
            listeners: self.listeners.clone(),
            hooks: self.hooks.clone(),
            is_enabled: Arc::clone(&self.is_enabled),
        }
    }
}

impl<S: Store> fmt::Debug for EventBus<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.listeners.values().flatten().map(|listener| listener.name()).collect();
        names.sort_unstable();
        f.debug_struct("EventBus").field("listeners", &names).field("is_enabled", &self.is_enabled()).finish()
    }
}
