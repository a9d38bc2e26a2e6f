//! Events with their metadata.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Headers, MessageId, Position, TraceContext};

/// Holds the metadata of an event. On the wire these fields are beside the event's own, in camelCase.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Identifies the event on every hop.
    pub event_id: MessageId,
    /// The event type, as in [`Event::TYPE`](crate::Event::TYPE).
    pub event_type: String,
    /// The key whose events keep their order.
    pub aggregate_id: Option<String>,
    /// When it happened, by the producer's clock: for people, never for order or retention.
    pub occurred_at: Timestamp,
    /// The source of the event; the outbox fills it in if it is empty.
    pub source: String,
    /// `MAJOR.MINOR` of the data; of an event that was upcast, the version it was read from.
    pub data_version: String,
    /// The id of the first event of the chain.
    pub correlation_id: Option<MessageId>,
    /// The event that led to this one.
    pub causation_id: Option<MessageId>,
    /// Additional values of the producer.
    pub metadata: BTreeMap<String, serde_json::Value>,
}

/// Holds an event `E` with its metadata, which is accessible directly: `envelope.occurred_at`.
///
/// ```
/// use messagekit::{Envelope, Event};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # struct OrderPlaced { order_id: String }
///
/// let mut placed = Envelope::new(OrderPlaced { order_id: "o-1".into() });
/// placed.metadata.insert("channel".into(), "phone".into());
/// assert_eq!(placed.aggregate_id.as_deref(), Some("o-1"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<E> {
    /// The metadata.
    pub meta: Meta,
    /// The event.
    pub data: E,
    /// Free headers, such as the name of a tenant. Every hop carries them unchanged, beside the payload, as one JSON object in
    /// the header [`headers`](crate::headers::FREE_HEADERS).
    pub headers: BTreeMap<String, String>,
    /// The trace that the event belongs to. If a new event has none, the outbox takes that of the current span, if a telemetry
    /// library has [been set](crate::adapter::set_telemetry).
    pub trace: Option<TraceContext>,
    pub(crate) delivery: Option<DeliveryInfo>,
}

impl<E> Envelope<E> {
    /// Returns the delivery information, or `None` if the event was not received.
    pub fn delivery(&self) -> Option<&DeliveryInfo> {
        self.delivery.as_ref()
    }

    /// Returns the event as a handler gets it in its run number `attempt`, counted from 1, for a test of a handler that looks at it.
    /// Its delivery has no position, no headers and no deadline.
    ///
    /// ```
    /// # use messagekit::{Envelope, Event};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(type = "orders.order.placed", key = "order_id")]
    /// # struct OrderPlaced { order_id: String }
    /// let third = Envelope::new(OrderPlaced { order_id: "o-1".into() }).with_attempt(3);
    /// assert_eq!(third.delivery().map(|delivery| delivery.attempt), Some(3));
    /// ```
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        let headers = Headers::new();
        self.delivery = Some(DeliveryInfo { attempt, headers, position: None, deadline: None });
        self
    }
}

impl<E> Deref for Envelope<E> {
    type Target = Meta;

    fn deref(&self) -> &Meta {
        &self.meta
    }
}

impl<E> DerefMut for Envelope<E> {
    fn deref_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }
}

/// Describes how a message was delivered to its handler.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryInfo {
    /// The number of this handler run, from 1. Only runs whose failure counts are counted.
    ///
    /// Runs ended by other causes (an outage, a lock conflict, another message of the batch) do not count.
    pub attempt: u32,
    /// The headers of the message.
    pub headers: Headers,
    /// Its position, if the transport has positions.
    pub position: Option<Position>,
    pub(crate) deadline: Option<Instant>,
}

impl DeliveryInfo {
    /// Returns how long the handler may still run; `None` without a deadline.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
