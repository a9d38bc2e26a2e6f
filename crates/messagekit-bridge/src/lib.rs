//! The bridge: forwards a log to a broker without loss and in key order.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use messagekit_bridge::{Bridge, Rule};
//! use messagekit_memory::MemoryLog;
//! use messagekit::{Message, Shutdown, headers};
//! use messagekit::adapter::Publisher;
//!
//! // In life: `kafka.topics([...])` of messagekit-kafka, `rabbit.publisher_to("events")` of messagekit-rabbitmq.
//! let (log, queues) = (MemoryLog::new(1), MemoryLog::new(1));
//! let placed = Message::new("orders.order", "{}")
//!     .with_key("o-1")
//!     .with_header(headers::ID, "m-1")
//!     .with_header(headers::EVENT_TYPE, "orders.order.placed");
//! log.publish(&[placed]).await;
//!
//! let bridge = Bridge::builder("orders-to-shipping")
//!     .from(log.topics(["orders.order", "orders-to-shipping.retry"]))
//!     .rule(Rule::new(["orders.order"], Arc::new(queues.clone())).routing_key("{eventType}"))
//!     .dead_letters(Arc::new(log.clone()), "orders-to-shipping.dead")
//!     .build()?;
//! let (stats, shutdown) = (bridge.stats(), Shutdown::new());
//! let running = tokio::spawn(bridge.run(shutdown.clone()));
//! while stats.read().forwarded < 1 {
//!     tokio::task::yield_now().await;
//! }
//! shutdown.request();
//! running.await.unwrap()?;
//! let forwarded = &queues.records("orders.order.placed")[0].message;
//! assert_eq!(forwarded.headers.text(headers::SOURCE_OFFSET), Some("0"));
//! # Ok::<(), messagekit::Error>(()) }).unwrap();
//! ```
//!
//! # Guarantees
//!
//! The bridge publishes every record of its topics at least once before its offset is committed. The id, key, headers
//! and payload bytes stay unchanged. A record that cannot be forwarded is stored completely in the dead-letter topic.
//! First deliveries of one source key keep their order: the bridge publishes the next message after the previous one is
//! confirmed. A repeated record has the same id and the same bytes.
//!
//! During an outage of the broker, nothing is settled and nothing fails. Lanes pause when their windows are full, which
//! bounds memory for any duration.
//!
//! # The program
//!
//! With the feature `program` (on by default), `program` is the binary `messagekit-bridge` from Kafka to RabbitMQ.

mod builder;
mod duplicates;
mod filter;
mod job;
mod lane;
#[cfg(feature = "program")]
pub mod program;
mod rule;
mod run;
mod sending;
mod settings;
mod stats;
mod timers;
mod topics;

pub use builder::{Bridge, BridgeBuilder};
pub use duplicates::{Duplicates, ProcessedIds};
pub use rule::Rule;
pub use stats::{BridgeStats, Stats};
