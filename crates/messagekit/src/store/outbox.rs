//! The transactional outbox.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use super::Store;
use super::event_encoder::EventEncoder;
use super::in_transaction::in_transaction;
use super::transaction_spans::hold_event;
use crate::data_check::DataCheck;
use crate::message::{Envelope, EventLinks, MessageId, WireForm};
use crate::{Error, ErrorKind, Event, HandlerError, Message};

/// The treatment of a delayed event in an outbox without a relay, where change data capture publishes the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WithoutRelay {
    /// The event is refused.
    #[default]
    Refuse,
    /// The event is published at once.
    SendAtOnce,
}

/// The rows behind an [`Outbox`].
#[diagnostic::on_unimplemented(message = "`{Self}` has no outbox")]
pub trait OutboxRows: Store {
    /// Writes messages inside `tx`, in order, in as few statements as the database allows.
    ///
    /// The ids that tie an event to others stand in headers, which a store has to take out with
    /// [`EventLinks::take`](crate::adapter::EventLinks::take): no reader and no broker may see them, and they do not count
    /// towards the size of the message.
    ///
    /// # Errors
    /// A permanent error if the database refuses a row. The caller must then roll the transaction back.
    fn write(
        &self,
        tx: &mut Self::Tx,
        messages: &[Message],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Writes messages inside `tx`, in order. They are published after `delay` of database time.
    ///
    /// # Errors
    /// As [`write`](Self::write). With [`WithoutRelay::Refuse`], [`ErrorKind::InvalidConfiguration`] if no relay waits for
    /// delayed events, which is the default. The caller must then roll the transaction back.
    fn write_after(
        &self,
        tx: &mut Self::Tx,
        messages: &[Message],
        delay: Duration,
        without_relay: WithoutRelay,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = delay;
        async move {
            match without_relay {
                WithoutRelay::SendAtOnce => self.write(tx, messages).await,
                WithoutRelay::Refuse => {
                    let text = "this store cannot delay events: add them when they are due";
                    Err(Error::new(ErrorKind::InvalidConfiguration, text))
                }
            }
        }
    }

    /// Wakes the relays of this process after a commit. The call is a hint.
    fn wake(&self) {}
}

/// Writes events in the transaction of the rows that they describe.
///
/// Nothing is buffered: an event exists if and only if its transaction committed.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit_memory::{MemoryLog, MemoryStore};
/// use messagekit::{Event, Outbox, Store};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String }
///
/// let log = MemoryLog::new(1);
/// let store = MemoryStore::with_log(&log);
/// let outbox = Outbox::new(store.clone(), "order-service")?;
///
/// let mut tx = store.begin().await?;
/// outbox.add(&mut tx, OrderPlaced { order_id: "o-1".into() }).await?;
/// store.rollback(tx).await?;
/// assert_eq!(log.len("orders.order"), 0);
///
/// let mut tx = store.begin().await?;
/// outbox.add(&mut tx, OrderPlaced { order_id: "o-2".into() }).await?;
/// outbox.commit(tx).await?;
/// assert_eq!(log.len("orders.order"), 1);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Outbox<S> {
    store: S,
    encoder: EventEncoder,
    without_relay: WithoutRelay,
}

impl<S: OutboxRows> Outbox<S> {
    /// Creates the outbox of a service. `source` is the service's name, 1 to 200 characters of `a-z A-Z 0-9 . _ -`; each event
    /// without a source of its own gets it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if the name has another form. A retry does not help.
    pub fn new(store: S, source: impl Into<Arc<str>>) -> Result<Self, Error> {
        Ok(Self { store, encoder: EventEncoder::new(source)?, without_relay: WithoutRelay::Refuse })
    }

    /// Prepends `prefix` to the topic of each event, which lets several environments share one cluster. Consumers subscribe to
    /// the whole topic.
    #[must_use]
    pub fn topic_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.encoder.topic_prefix = prefix.into();
        self
    }

    /// Publishes events of [`add_after`](Self::add_after) at once if the outbox has no relay, instead of refusing them. Use it
    /// for a service that does not depend on the delay, with a relay in one environment and a connector in another.
    #[must_use]
    pub fn ignore_delays_without_relay(mut self) -> Self {
        self.without_relay = WithoutRelay::SendAtOnce;
        self
    }

    /// Writes events in another form than messagekit JSON: as CloudEvents, for readers of other frameworks. Consumers of
    /// messagekit read every form.
    #[must_use]
    pub fn wire_form(mut self, form: WireForm) -> Self {
        self.encoder.wire_form = form;
        self
    }

    /// Checks the data of each event against its schema before it is written. Events that do not match are refused with
    /// [`ErrorKind::InvalidEvent`], or logged. Default: off.
    #[must_use]
    pub fn validation(mut self, validation: impl Into<Option<Arc<dyn DataCheck>>>) -> Self {
        self.encoder.validation = validation.into();
        self
    }

    /// Returns the store that the outbox writes to.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the name of the service that writes the events.
    pub fn source(&self) -> &str {
        self.encoder.source()
    }

    /// Adds an event, or an envelope with its metadata, and returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`](crate::ErrorKind::InvalidEvent) or [`TooLarge`](crate::ErrorKind::TooLarge) before anything
    /// is written. Otherwise the database's error, after which the caller must roll the transaction back.
    pub async fn add<E: Event>(
        &self,
        tx: &mut S::Tx,
        event: impl Into<Envelope<E>>,
    ) -> Result<MessageId, Error> {
        let envelope = event.into();
        let message = self.encode_for(tx, &envelope)?;
        self.store.write(tx, &[message]).await?;
        Ok(envelope.meta.event_id)
    }

    /// Adds several events in as few statements as the database allows, in order, and returns their ids. A few hundred events
    /// per call are as fast as thousands and hold the database's locks for less time.
    ///
    /// # Errors
    /// As [`add`](Self::add). Nothing is written if one of the events cannot be encoded.
    pub async fn add_all<E: Event, I>(&self, tx: &mut S::Tx, events: I) -> Result<Vec<MessageId>, Error>
    where
        I: IntoIterator<Item: Into<Envelope<E>>>,
    {
        let mut ids = Vec::new();
        let mut messages = Vec::new();
        for event in events {
            let envelope = event.into();
            messages.push(self.encode_for(tx, &envelope)?);
            ids.push(envelope.meta.event_id);
        }
        self.store.write(tx, &messages).await?;
        Ok(ids)
    }

    /// Adds an event that is published after `delay` of database time, and returns its id.
    ///
    /// Its position in the order of its key is fixed when a relay finds it due, behind the events published until then. Only a
    /// relay waits for delayed events.
    ///
    /// # Errors
    /// As [`add`](Self::add). [`ErrorKind::InvalidConfiguration`] if no relay waits for the event: in a store that cannot
    /// delay, and in a PostgreSQL outbox without a relay, such as one that Debezium reads. Run `messagekit migrate --relay`
    /// there, or call [`ignore_delays_without_relay`](Self::ignore_delays_without_relay).
    pub async fn add_after<E: Event>(
        &self,
        tx: &mut S::Tx,
        event: impl Into<Envelope<E>>,
        delay: Duration,
    ) -> Result<MessageId, Error> {
        let envelope = event.into();
        let message = self.encode_for(tx, &envelope)?;
        self.store.write_after(tx, &[message], delay, self.without_relay).await?;
        Ok(envelope.meta.event_id)
    }

    /// Encodes an envelope as [`add`](Self::add) does, with the source and the prefix of this outbox, in its trace or else in
    /// that of the current span. It serves stores that
    /// write events in another way: they have to take the [`EventLinks`](crate::adapter::EventLinks) out of the headers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`](crate::ErrorKind::InvalidEvent) or [`TooLarge`](crate::ErrorKind::TooLarge); a retry does
    /// not help.
    pub fn encode<E: Event>(&self, envelope: &Envelope<E>) -> Result<Message, Error> {
        Ok(self.encode_in_span(envelope)?.0)
    }

    /// Encodes an event that is written in `tx`.
    fn encode_for<E: Event>(&self, tx: &S::Tx, envelope: &Envelope<E>) -> Result<Message, Error> {
        let (message, created) = self.encode_in_span(envelope)?;
        created.iter().for_each(|span| hold_event(tx, span));
        Ok(message)
    }

    fn encode_in_span<E: Event>(&self, envelope: &Envelope<E>) -> Result<(Message, Option<Span>), Error> {
        let (mut message, created) = self.encoder.encode(envelope)?;
        EventLinks::of_envelope(envelope).add_to(&mut message.headers);
        Ok((message, created))
    }

    /// Runs `work` in a transaction and commits it with its events. If `work` fails, nothing of it remains.
    ///
    /// In `work`, `?` takes the errors of the database, of this crate and your own.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # use messagekit_memory::{MemoryLog, MemoryStore};
    /// # use messagekit::{Error, Event, Outbox};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(type = "orders.order.placed", key = "order_id")]
    /// # struct OrderPlaced { order_id: String }
    /// # let log = MemoryLog::new(1);
    /// # let outbox = Outbox::new(MemoryStore::with_log(&log), "order-service")?;
    /// let event_id = outbox.transaction(async |tx| {
    ///     tx.add("orders", "1".parse()?);
    ///     Ok(outbox.add(tx, OrderPlaced { order_id: "o-1".into() }).await?)
    /// }).await?;
    /// assert_eq!(log.len(OrderPlaced::TOPIC), 1);
    ///
    /// let refused = outbox.transaction(async |tx| {
    ///     tx.add("orders", "one".parse()?);
    ///     Ok(())
    /// }).await.unwrap_err();
    /// assert!(refused.cause::<std::num::ParseIntError>().is_some());
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The error of `work`, or that of [`begin`](Store::begin) or [`commit`](Self::commit). An error of your own is found by
    /// [`Error::cause`], and one of the database has the kind that the store gives it. What a constructor
    /// of [`HandlerError`] says is not kept, but for `unavailable`: [`ErrorKind::Unavailable`].
    ///
    /// # Cancel safety
    /// A drop rolls back what is not committed. A drop during the commit leaves its outcome unknown.
    pub async fn transaction<R, F>(&self, work: F) -> Result<R, Error>
    where
        F: AsyncFnOnce(&mut S::Tx) -> Result<R, HandlerError>,
    {
        let done = in_transaction(&self.store, work).await?;
        self.store.wake();
        Ok(done)
    }

    /// Wakes the relays of this process after a commit outside this outbox.
    ///
    /// The call is optional. A relay of this process finds an added event within 2 to 50 ms of its commit; a relay of another
    /// process finds it by polling.
    pub fn wake(&self) {
        self.store.wake();
    }

    /// Commits with all checks and wakes the relays.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn commit(&self, tx: S::Tx) -> Result<(), Error> {
        self.store.commit(tx).await?;
        self.store.wake();
        Ok(())
    }
}
