//! Publishing typed events without an outbox.

use std::sync::Arc;

use super::publish_spans::PublishSpans;
use super::publisher::{PublishError, PublishErrorKind, Published, Publisher};
use crate::data_check::DataCheck;
use crate::message::{Envelope, MessageId, WireForm};
use crate::store::EventEncoder;
use crate::{Error, Event, Message};

/// Publishes events to a broker at once, without an [`Outbox`](crate::Outbox): for what no row stands for, such as a measurement or a
/// notice.
///
/// An event of a row belongs into an outbox: here the process may end between the commit and the event, or the commit may fail
/// after the event was published. Nothing repeats an event that the broker did not take. Consumers handle what it took once for each
/// id, inside their dedup window: it has no header `createdAt`, by which an older copy is refused.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit::{Event, EventPublisher};
/// use messagekit_memory::MemoryLog;
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "stores.door.opened", key = "door")]
/// struct DoorOpened { door: String }
///
/// let log = MemoryLog::new(1);
/// let events = EventPublisher::new(log.clone(), "door-service")?;
/// events.publish(DoorOpened { door: "north".into() }).await.expect("the log takes it");
/// assert_eq!(log.len("stores.door"), 1);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct EventPublisher<P> {
    publisher: P,
    encoder: EventEncoder,
}

impl<P: Publisher> EventPublisher<P> {
    /// Creates the publisher of a service. `source` is the service's name, 1 to 200 characters of `a-z A-Z 0-9 . _ -`; each event without
    /// a source of its own gets it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](crate::ErrorKind::InvalidConfiguration) if the name has another form. A retry does not help.
    pub fn new(publisher: P, source: impl Into<Arc<str>>) -> Result<Self, Error> {
        Ok(Self { publisher, encoder: EventEncoder::new(source)? })
    }

    /// Prepends `prefix` to the topic of each event, as [`Outbox::topic_prefix`](crate::Outbox::topic_prefix) does.
    #[must_use]
    pub fn topic_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.encoder.topic_prefix = prefix.into();
        self
    }

    /// Writes events in another form than messagekit JSON.
    #[must_use]
    pub fn wire_form(mut self, form: WireForm) -> Self {
        self.encoder.wire_form = form;
        self
    }

    /// Checks the data of each event against its schema before it is published. Default: off.
    #[must_use]
    pub fn validation(mut self, validation: impl Into<Option<Arc<dyn DataCheck>>>) -> Self {
        self.encoder.validation = validation.into();
        self
    }

    /// Returns the publisher behind it.
    pub fn publisher(&self) -> &P {
        &self.publisher
    }

    /// Publishes an event, or an envelope with its metadata, and returns its id when the broker has made it durable.
    ///
    /// # Errors
    /// [`Rejected`](PublishErrorKind::Rejected) if the event cannot be encoded or the broker never accepts it. After
    /// [`Unavailable`](PublishErrorKind::Unavailable) and [`Unknown`](PublishErrorKind::Unknown) a retry is useful: publish a clone of the
    /// same envelope, whose id lets consumers apply it once.
    ///
    /// # Cancel safety
    /// If the future is dropped, the event may be published or not.
    pub async fn publish<E: Event>(&self, event: impl Into<Envelope<E>>) -> Result<MessageId, PublishError> {
        let envelope = event.into();
        let rejected = |error| PublishError { refusal: PublishErrorKind::Rejected, error };
        // Its span ends when the broker has answered.
        let (message, _created) = self.encoder.encode(&envelope).map_err(rejected)?;
        let mut answers = self.send(&[message]).await;
        let answer = answers.pop().unwrap_or_else(|| Err(no_answer()));
        answer.map(|()| envelope.meta.event_id)
    }

    /// Publishes several events with one call to the broker, and returns one answer for each, in their order. Within one topic and key,
    /// those that were published come before those that were not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`](crate::ErrorKind::InvalidEvent) or [`TooLarge`](crate::ErrorKind::TooLarge) if one of the events cannot
    /// be encoded: then none is published. A retry does not help.
    ///
    /// # Cancel safety
    /// If the future is dropped, each event may be published or not.
    pub async fn publish_all<E: Event, I>(&self, events: I) -> Result<Vec<Published>, Error>
    where
        I: IntoIterator<Item: Into<Envelope<E>>>,
    {
        let (mut messages, mut created) = (Vec::new(), Vec::new());
        for event in events {
            let (message, span) = self.encoder.encode(&event.into())?;
            messages.push(message);
            created.extend(span);
        }
        let answers = self.send(&messages).await;
        // The spans end when the broker has answered.
        drop(created);
        Ok(answers)
    }

    async fn send(&self, messages: &[Message]) -> Vec<Published> {
        let spans = PublishSpans::begin(self.encoder.source(), self.publisher.system(), messages);
        let answers = self.publisher.publish(messages).await;
        spans.end(&answers);
        answers
    }
}

/// The error for a publisher that breaks its contract.
fn no_answer() -> PublishError {
    let error = Error::new(crate::ErrorKind::Other, "the publisher gave no answer for the event");
    PublishError { refusal: PublishErrorKind::Unknown, error }
}
