//! The only transactional way in.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Store;
use crate::message::{Envelope, MessageId, codec};
use crate::{Error, ErrorKind, Event, Message, check_topic};

/// What becomes of a delayed event where nothing waits for its time: where changes are captured from the database's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WithoutRelay {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes out at once.
    SendAtOnce,
}

/// The rows behind an [`Outbox`].
#[diagnostic::on_unimplemented(message = "`{Self}` has no outbox")]
pub trait OutboxRows: Store {
    /// Writes messages inside `tx`, in order, in as few statements as the database allows.
    ///
    /// # Errors
    /// Permanent when the database refuses a row; the transaction must be rolled back then.
    fn write(
        &self,
        tx: &mut Self::Tx,
        messages: &[Message],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Writes messages inside `tx`, in order, that go out when `delay` of database time has passed.
    ///
    /// # Errors
    /// As [`write`](Self::write). With [`WithoutRelay::Refuse`], [`ErrorKind::InvalidConfiguration`] where nothing waits for
    /// them, which is everywhere by default; the transaction must be rolled back then.
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

    /// Tells whoever publishes that something was committed; a hint, called after the commit.
    fn wake(&self) {}
}

/// Writes events in the transaction of the rows they speak about.
///
/// Nothing is buffered: an event exists if and only if its transaction committed.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit::memory::{MemoryLog, MemoryStore};
/// use messagekit::{Event, Outbox, Store};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String }
///
/// let log = MemoryLog::new(1);
/// let store = MemoryStore::with_log(&log);
/// let outbox = Outbox::new(store.clone(), "order-service");
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
    source: Arc<str>,
    topic_prefix: Arc<str>,
    without_relay: WithoutRelay,
}

impl<S: OutboxRows> Outbox<S> {
    /// Makes the outbox of a service; `source` is the service's name and stands in each event that names no other.
    pub fn new(store: S, source: impl Into<Arc<str>>) -> Self {
        let (topic_prefix, without_relay) = (Arc::default(), WithoutRelay::Refuse);
        Self { store, source: source.into(), topic_prefix, without_relay }
    }

    /// Puts `prefix` in front of the topic of each event, so that several environments can share one cluster. Consumers name
    /// the whole topic.
    #[must_use]
    pub fn topic_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.topic_prefix = prefix.into();
        self
    }

    /// Lets events of [`add_after`](Self::add_after) go out at once where nothing waits for their time, instead of refusing them:
    /// for a service whose outbox has a relay here and a connector there, and that does not depend on the delay.
    #[must_use]
    pub fn ignore_delays_without_relay(mut self) -> Self {
        self.without_relay = WithoutRelay::SendAtOnce;
        self
    }

    /// Returns the store it writes to.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the name of the service that writes.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Adds an event, or an envelope with its metadata, and returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`](crate::ErrorKind::InvalidEvent) or [`TooLarge`](crate::ErrorKind::TooLarge) before
    /// anything is written; else the database's answer, after which the transaction must be rolled back.
    pub async fn add<E: Event>(
        &self,
        tx: &mut S::Tx,
        event: impl Into<Envelope<E>>,
    ) -> Result<MessageId, Error> {
        let envelope = event.into();
        let message = self.encode(&envelope)?;
        self.store.write(tx, &[message]).await?;
        Ok(envelope.meta.event_id)
    }

    /// Adds several events in as few statements as the database allows, in order, and returns their ids. Some hundred at a
    /// time are as quick as thousands, and hold the database's locks for less long.
    ///
    /// # Errors
    /// As [`add`](Self::add); nothing is written when one of them cannot be encoded.
    pub async fn add_all<E: Event, I>(&self, tx: &mut S::Tx, events: I) -> Result<Vec<MessageId>, Error>
    where
        I: IntoIterator<Item: Into<Envelope<E>>>,
    {
        let mut ids = Vec::new();
        let mut messages = Vec::new();
        for event in events {
            let envelope = event.into();
            messages.push(self.encode(&envelope)?);
            ids.push(envelope.meta.event_id);
        }
        self.store.write(tx, &messages).await?;
        Ok(ids)
    }

    /// Adds an event that goes out when `delay` of database time has passed, and returns its id.
    ///
    /// It takes its place in the order of its key when it is seen to be due, behind what was published until then. Only a relay
    /// waits for it.
    ///
    /// # Errors
    /// As [`add`](Self::add). [`ErrorKind::InvalidConfiguration`] where nothing waits for it: in a store that cannot delay, and in
    /// a PostgreSQL outbox without a relay, such as one that Debezium reads. Run `messagekit migrate --relay` there, or say
    /// [`ignore_delays_without_relay`](Self::ignore_delays_without_relay).
    pub async fn add_after<E: Event>(
        &self,
        tx: &mut S::Tx,
        event: impl Into<Envelope<E>>,
        delay: Duration,
    ) -> Result<MessageId, Error> {
        let envelope = event.into();
        let message = self.encode(&envelope)?;
        self.store.write_after(tx, &[message], delay, self.without_relay).await?;
        Ok(envelope.meta.event_id)
    }

    /// Encodes an envelope as [`add`](Self::add) does, with the source and the prefix of this outbox; for a store with a way of its
    /// own to write.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`](crate::ErrorKind::InvalidEvent) or [`TooLarge`](crate::ErrorKind::TooLarge).
    pub fn encode<E: Event>(&self, envelope: &Envelope<E>) -> Result<Message, Error> {
        let message = codec::encode(envelope, &self.source)?;
        if self.topic_prefix.is_empty() {
            return Ok(message);
        }
        let topic = format!("{}{}", self.topic_prefix, message.topic);
        check_topic(&topic)?;
        Ok(Message { topic: topic.into(), ..message })
    }

    /// Wakes the relays of this process, after a commit that this outbox has not seen.
    ///
    /// A hint, never needed: an event that was added is found within 2 to 50 ms of its commit, and one of another process by
    /// looking.
    pub fn wake(&self) {
        self.store.wake();
    }

    /// Commits, checked, and wakes whoever publishes.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn commit(&self, tx: S::Tx) -> Result<(), Error> {
        self.store.commit(tx).await?;
        self.store.wake();
        Ok(())
    }
}
