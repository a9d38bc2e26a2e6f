//! Events, and how they get into envelopes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::message::{Envelope, MessageId, Meta};

/// Represents a domain fact that is sent as one JSON object.
///
/// Derive it: `#[derive(Event)]` checks names at compile time and derives the topic.
///
/// ```
/// use messagekit::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced {
///     order_id: String,
///     total_pence: i64,
/// }
///
/// assert_eq!(OrderPlaced::TOPIC, "orders.order");
/// let placed = OrderPlaced { order_id: "o-1".into(), total_pence: 995 };
/// assert_eq!(placed.key().as_deref(), Some("o-1"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "derive it: `#[derive(Event, Serialize, Deserialize)] #[event(type = \"area.noun.verb\", key = \"field\")]`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type on the wire, in the form that [`check_type`](crate::adapter::check_type) accepts.
    const TYPE: &'static str;
    /// The topic it is published to. All events of one aggregate share a topic, which keeps their order.
    const TOPIC: &'static str;
    /// `MAJOR.MINOR` of the data; a consumer refuses a newer major version.
    const VERSION: &'static str = "1.0";
    /// The source of the event; the name of the outbox when absent.
    const SOURCE: Option<&'static str> = None;

    /// Returns the key whose events keep their order, or `None` if order does not matter.
    fn key(&self) -> Option<Cow<'_, str>>;

    /// Wraps the event as a consequence of `cause`. The causation id is the id of `cause`. The correlation id is that
    /// of `cause`, or its id if it starts the chain.
    fn follow<C>(self, cause: &Envelope<C>) -> Envelope<Self>
    where
        Self: Sized,
    {
        let mut envelope = Envelope::new(self);
        envelope.correlation_id = cause.correlation_id.clone().or_else(|| Some(cause.event_id.clone()));
        envelope.causation_id = Some(cause.event_id.clone());
        envelope
    }
}

impl<E: Event> Envelope<E> {
    /// Wraps an event that occurs now, with a new id.
    pub fn new(data: E) -> Self {
        let meta = Meta {
            event_id: MessageId::new(),
            event_type: E::TYPE.to_owned(),
            aggregate_id: data.key().map(|key| key.into_owned()),
            occurred_at: Timestamp::now(),
            source: E::SOURCE.unwrap_or_default().to_owned(),
            data_version: E::VERSION.to_owned(),
            correlation_id: None,
            causation_id: None,
            metadata: BTreeMap::new(),
        };
        Self { meta, data, headers: BTreeMap::new(), trace: None, delivery: None }
    }
}

impl<E: Event> From<E> for Envelope<E> {
    fn from(event: E) -> Self {
        Self::new(event)
    }
}
