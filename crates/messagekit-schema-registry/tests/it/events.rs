//! The event of the tests, and its schema.

use messagekit::Event;
use messagekit_schema_registry::{SchemaDocument, SchemaFormat};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", topic = "orders", key = "order_id", version = "1.1")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
    pub(crate) pence: i64,
    #[serde(default)]
    pub(crate) note: Option<String>,
}

pub(crate) const ORDER_PLACED: &str = r#"{"type": "record", "name": "OrderPlaced", "namespace": "shop", "fields": [
    {"name": "order_id", "type": "string"},
    {"name": "pence", "type": "long"},
    {"name": "note", "type": ["null", "string"], "default": null}]}"#;

pub(crate) fn order(order_id: &str) -> OrderPlaced {
    OrderPlaced { order_id: order_id.to_owned(), pence: 995, note: None }
}

pub(crate) fn document(format: SchemaFormat, text: &str) -> SchemaDocument {
    SchemaDocument { format, text: text.to_owned(), references: Vec::new() }
}
