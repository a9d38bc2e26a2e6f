//! A built consumer: what it can be asked to do.

use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};

use super::deliver::{NotedWindow, deliver};
use super::delivered::Delivered;
use super::run::{self, Until};
use super::settings::Settings;
use super::stats::Ending;
use super::{ConsumerStats, Stats};
use crate::gate::Gates;
use crate::store::{Inbox, Store};
use crate::transport::Source;
use crate::{Error, Message};

/// A consumer: a name, a source, a store and handlers.
///
/// The name is the scope of deduplication, the group at the broker and the owner of the cursor. Processes of one name share the
/// work; a consumer with another name receives all messages again.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
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
/// let outbox = Outbox::new(store.clone(), "order-service")?;
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
    pub(super) settings: Arc<Settings<S>>,
    /// Only a run uses source and gates: behind locks, which are never waited for, a consumer can be shared for its deliveries.
    pub(super) source: Mutex<Src>,
    pub(super) gates: Mutex<Gates>,
    pub(super) noted: NotedWindow,
}

impl<S: Inbox, Src: Source> Consumer<S, Src> {
    /// Returns a live view of the consumer's statistics.
    pub fn stats(&self) -> Stats {
        self.settings.stats.clone()
    }

    /// Runs until `shutdown` completes. It then finishes the work in progress, releases the other messages and leaves the
    /// group. A handler that still runs 30 s later is cancelled, and its message is delivered again.
    ///
    /// # Errors
    /// An error if the source cannot be bound or ends by itself, or if the broker has lost a recorded position. Also an error
    /// of the store that waiting does not cure: missing migrations, a corrupt file, a closed store. An outage is no error: the
    /// consumer waits.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: open transactions roll back, commits in flight complete, and unsettled messages are
    /// delivered again and deduplicated. However, the database cannot distinguish a drop from a crash of the process. A failed
    /// message in its handler loses an attempt. A drop during a first batch makes the next start run messages one by one. Five
    /// drops of a message that ran alone make it dead. Use `shutdown` to stop a consumer.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        let ending = Ending::of(&self.settings.stats);
        let (settings, source, gates) = self.into_run();
        let outcome = run::run(settings, source, gates, Until::Shutdown, shutdown.into_future()).await;
        ending.with(&outcome);
        outcome
    }

    /// Runs until nothing is left to do, and returns the counts: every message of its source is settled, and no failed message is due.
    /// Use it for jobs that a scheduler starts, and in tests.
    ///
    /// A failed message whose retry is due later is left to a later run; with [`Backoff::fixed`](crate::Backoff::fixed) of zero every retry is due at once, and the run
    /// goes on until the message is applied or dead. It does not end while a message holds its lane, because a dependency is unavailable, because the policy is
    /// [`Block`](crate::OnFailure::Block), or because a key has its limit of parked messages; nor while a gate is closed. Of a group it looks at the
    /// partitions that this process owns, and waits until it owns one, for as long as others own all. Without a partition it retries nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`ErrorKind::InvalidConfiguration`](crate::ErrorKind::InvalidConfiguration) for a source that does not say what waits in it.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
    /// # use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(type = "orders.order.placed", key = "order_id")]
    /// # struct OrderPlaced { order_id: String }
    /// # async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    /// #     tx.add("billed", 1);
    /// #     Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let log = MemoryLog::new(1);
    /// # let store = MemoryStore::with_log(&log);
    /// # let outbox = Outbox::new(store.clone(), "shop")?;
    /// # outbox.transaction(async |tx| Ok(outbox.add(tx, OrderPlaced { order_id: "o-1".into() }).await?)).await?;
    /// let billing = Consumer::builder("billing", store.clone()).from(log).on(bill).build()?;
    /// let done = billing.run_until_idle().await?;
    /// assert_eq!((done.handled, store.get("billed")), (1, 1));
    /// # Ok::<(), messagekit::Error>(()) }).unwrap();
    /// ```
    pub async fn run_until_idle(self) -> Result<ConsumerStats, Error> {
        let stats = self.stats();
        let ending = Ending::of(&stats);
        let (settings, source, gates) = self.into_run();
        let outcome = run::run(settings, source, gates, Until::Idle, std::future::pending()).await;
        ending.with(&outcome);
        outcome.map(|()| stats.read())
    }

    fn into_run(self) -> (Arc<Settings<S>>, Src, Gates) {
        let source = self.source.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.settings, source, self.gates.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Inbox, Src> Consumer<S, Src> {
    /// Applies one message that the program has received by itself, such as the body of a webhook or a message of a test: its claim, the effects
    /// of its handler and the events that it adds are one transaction, as when the consumer runs.
    ///
    /// Routing, middleware, deadline, validation, dedup and the policy for failures are those of the consumer, which need not run. Gates
    /// are not asked. A failed message is kept as [`Delivered::Failed`] says; a process that runs the consumer retries it. The message has
    /// no position, so it blocks no key, and messages that are delivered at once are applied side by side.
    ///
    /// # Errors
    /// A transient error if the store does not answer: deliver the message again. An error of the store that waiting does not cure, such
    /// as missing migrations.
    ///
    /// # Cancel safety
    /// A drop rolls back what is not committed. Deliver the message again: it is applied once.
    ///
    /// ```
    /// # use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
    /// # use messagekit::{Consumer, Delivered, Envelope, Event, HandlerError};
    /// # use messagekit::adapter::codec;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(type = "orders.order.placed", key = "order_id")]
    /// # struct OrderPlaced { order_id: String }
    /// # async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    /// #     tx.add("billed", 1);
    /// #     Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let store = MemoryStore::new();
    /// let billing = Consumer::builder("billing", store.clone()).from(MemoryLog::new(1)).on(bill).build()?;
    /// let received = codec::encode(&Envelope::new(OrderPlaced { order_id: "o-1".into() }), "shop")?;
    /// assert_eq!(billing.deliver(received.clone()).await?, Delivered::Handled);
    /// assert_eq!(billing.deliver(received).await?, Delivered::Duplicate);
    /// assert_eq!(store.get("billed"), 1);
    /// # Ok::<(), messagekit::Error>(()) }).unwrap();
    /// ```
    pub async fn deliver(&self, message: Message) -> Result<Delivered, Error> {
        self.deliver_attempt(message, 1).await
    }

    /// Applies a message as [`deliver`](Self::deliver) does, in its run number `attempt`, counted from 1. The handler sees the number, and a failure of
    /// the last of the consumer's [`attempts`](crate::ConsumerBuilder::attempts) is dead. Use it if the sender counts its attempts.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    ///
    /// # Cancel safety
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_attempt(&self, message: Message, attempt: u32) -> Result<Delivered, Error> {
        deliver(&self.settings, &self.noted, message, attempt).await
    }

    /// Returns the consumer's name.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Returns the store of the consumer.
    pub fn store(&self) -> &S {
        &self.settings.store
    }
}

impl<S: Store, Src> fmt::Debug for Consumer<S, Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("name", &self.settings.name)
            .field("router", &self.settings.router)
            .field("middleware", &self.settings.around.len())
            .field("gates", &*self.gates.lock().unwrap_or_else(PoisonError::into_inner))
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
