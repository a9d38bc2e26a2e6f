//! An event together with what is known about it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Headers, MessageId, Position};
use crate::Event;

/// What is known about an event: on the wire these fields stand beside the event's own, in camelCase.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Identifies the event on every hop.
    pub event_id: MessageId,
    /// The type, as [`Event::TYPE`] names it.
    pub event_type: String,
    /// The key whose events keep their order.
    pub aggregate_id: Option<String>,
    /// When it happened, by the writer's clock: for people, never for order or retention.
    pub occurred_at: Timestamp,
    /// Who says so; filled in by the outbox when empty.
    pub source: String,
    /// `MAJOR.MINOR` of the data.
    pub data_version: String,
    /// What belongs together: the id at the start of the chain.
    pub correlation_id: Option<MessageId>,
    /// The event that led to this one.
    pub causation_id: Option<MessageId>,
    /// Everything a writer wants to add.
    pub metadata: BTreeMap<String, serde_json::Value>,
}

/// An event `E` with its metadata, which can be read and changed directly: `envelope.occurred_at`.
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
    /// What is known about the event.
    pub meta: Meta,
    /// The event.
    pub data: E,
    pub(crate) delivery: Option<DeliveryInfo>,
}

impl<E: Event> Envelope<E> {
    /// Wraps an event that happens now, with a new id.
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
        Self { meta, data, delivery: None }
    }
}

impl<E> Envelope<E> {
    /// Returns how it was delivered, or `None` when it was not received from anywhere.
    pub fn delivery(&self) -> Option<&DeliveryInfo> {
        self.delivery.as_ref()
    }
}

impl<E: Event> From<E> for Envelope<E> {
    fn from(event: E) -> Self {
        Self::new(event)
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

/// How a message came to its handler.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryInfo {
    /// Counts the runs of the handler for this message that were allowed to fail it: 1 at first.
    ///
    /// Runs that ended because of somebody else (an outage, a lock conflict, a neighbour in the batch) do not count.
    pub attempt: u32,
    /// The headers it carried.
    pub headers: Headers,
    /// Where it stands, when the transport has coordinates.
    pub position: Option<Position>,
    pub(crate) deadline: Option<Instant>,
}

impl DeliveryInfo {
    /// Returns how long the handler may still run; `None` when nobody set a deadline.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
