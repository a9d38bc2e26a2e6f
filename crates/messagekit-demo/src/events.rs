//! The events of the shop: three types of one topic, and the other types of an input file.

use std::borrow::Cow;

use jiff::Timestamp;
use messagekit::{Envelope, Event};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The common topic of all events of an invoice, so that the order of a customer's invoices is defined.
pub(crate) const TOPIC: &str = InvoicePlaced::TOPIC;

/// The types that lead to a bill.
pub(crate) const BILLED: [&str; 2] = [InvoicePlaced::TYPE, InvoiceCancelled::TYPE];

/// An order was placed.
#[derive(Clone, Debug, Deserialize, Event, Serialize)]
#[event(type = "shop.invoice.placed", key = "customer")]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvoicePlaced {
    pub(crate) invoice: String,
    #[serde(default)]
    pub(crate) customer: Option<String>,
    #[serde(default)]
    pub(crate) country: String,
    #[serde(default)]
    pub(crate) lines: u32,
    #[serde(default)]
    pub(crate) items: i64,
    #[serde(alias = "total_pence")]
    pub(crate) total_pence: i64,
}

/// An order, or a part of one, was returned: its total is negative.
#[derive(Clone, Debug, Deserialize, Event, Serialize)]
#[event(type = "shop.invoice.cancelled", key = "customer")]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvoiceCancelled {
    pub(crate) invoice: String,
    #[serde(default)]
    pub(crate) customer: Option<String>,
    #[serde(alias = "total_pence")]
    pub(crate) total_pence: i64,
}

/// The shop wrote off a debt manually. Billing cannot book this, so these events become dead letters.
#[derive(Clone, Debug, Deserialize, Event, Serialize)]
#[event(type = "shop.invoice.adjusted", key = "customer")]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvoiceAdjusted {
    pub(crate) invoice: String,
    #[serde(default)]
    pub(crate) customer: Option<String>,
    #[serde(alias = "total_pence")]
    pub(crate) total_pence: i64,
}

/// An event of a type that billing does not know: its data stays as written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Foreign(pub(crate) Box<RawValue>);

/// Implemented manually, because its type is known only at run time: the envelope names it.
impl Event for Foreign {
    const TYPE: &'static str = "shop.invoice.foreign";
    const TOPIC: &'static str = TOPIC;

    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// Any event that the order service writes.
#[derive(Clone, Debug)]
pub(crate) enum ShopEvent {
    Placed(InvoicePlaced),
    Cancelled(InvoiceCancelled),
    Adjusted(InvoiceAdjusted),
    Foreign { event_type: String, key: Option<String>, data: Foreign },
}

impl ShopEvent {
    pub(crate) fn event_type(&self) -> &str {
        match self {
            Self::Placed(_) => InvoicePlaced::TYPE,
            Self::Cancelled(_) => InvoiceCancelled::TYPE,
            Self::Adjusted(_) => InvoiceAdjusted::TYPE,
            Self::Foreign { event_type, .. } => event_type,
        }
    }

    /// Returns the customer of the invoice.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Placed(event) => event.customer.as_deref(),
            Self::Cancelled(event) => event.customer.as_deref(),
            Self::Adjusted(event) => event.customer.as_deref(),
            Self::Foreign { key, .. } => key.as_deref(),
        }
    }

    pub(crate) fn is_adjustment(&self) -> bool {
        matches!(self, Self::Adjusted(_))
    }

    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign { .. })
    }

    /// Returns the data of the event's row: the invoice's number and its total.
    pub(crate) fn row(&self) -> (&str, i64) {
        match self {
            Self::Placed(event) => (&event.invoice, event.total_pence),
            Self::Cancelled(event) => (&event.invoice, event.total_pence),
            Self::Adjusted(event) => (&event.invoice, event.total_pence),
            Self::Foreign { .. } => ("", 0),
        }
    }
}

/// Wraps an event with the time at which it happened.
pub(crate) fn dated<E: Event>(event: E, at: Option<Timestamp>) -> Envelope<E> {
    let mut envelope = Envelope::new(event);
    if let Some(at) = at {
        envelope.occurred_at = at;
    }
    envelope
}

/// Wraps an event whose type and key differ from those of its Rust type.
pub(crate) fn foreign(event_type: &str, key: Option<&str>, data: Foreign) -> Envelope<Foreign> {
    let mut envelope = Envelope::new(data);
    envelope.event_type = event_type.to_owned();
    envelope.aggregate_id = key.map(str::to_owned);
    envelope
}
