//! Topics whose records hold Avro, or JSON, with a schema of a registry: what Kafka Connect and services with Confluent's serializers
//! write and read.
//!
//! Inside messagekit data is JSON. [`Schemas`] translates at the edge of a broker: [`Schemas::source`] around what a consumer
//! reads from, [`Schemas::publisher`] around what a relay publishes with. Handlers, outbox, failed messages and upcasters stay as they are.
//!
//! ```no_run
//! use messagekit::Event;
//! use messagekit_schema_registry::{ConfluentRegistry, EventSchema, Schemas};
//! # use serde::{Deserialize, Serialize};
//! # async fn service<S, P>(kafka: S, publisher: P) -> Result<(), messagekit::Error>
//! # where S: messagekit::adapter::IntoSource, P: messagekit::adapter::Publisher {
//! # const ORDER_PLACED: &str = "";
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(type = "orders.order.placed", topic = "orders", key = "order_id")]
//! struct OrderPlaced { order_id: String, pence: i64 }
//!
//! let schemas = Schemas::new(ConfluentRegistry::new("https://registry:8081")?.basic("orders", "secret"));
//! let source = schemas.source(kafka); // for `Consumer::builder(…).from(source)`
//! let publisher = schemas.publisher(publisher, [EventSchema::avro::<OrderPlaced>(ORDER_PLACED)?]).await?;
//! # Ok(()) }
//! ```
//!
//! Each record holds a byte 0, the number of its schema in four bytes, and the data:
//! <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>.

mod avro;
mod confluent;
mod document;
mod event_schema;
mod frame;
mod lookup;
mod memory;
mod publisher;
mod reading;
mod registry;
mod schemas;
mod source;
mod subscriber;

pub use avro::AvroSchema;
pub use confluent::ConfluentRegistry;
pub use document::{RegisteredSchema, SchemaDocument, SchemaFormat, SchemaId, SchemaReference};
pub use event_schema::{EventSchema, SubjectName};
pub use memory::MemoryRegistry;
pub use publisher::SchemaPublisher;
pub use registry::SchemaRegistry;
pub use schemas::Schemas;
pub use source::{BoundSchemaSource, SchemaSource};
pub use subscriber::SchemaSubscriber;
