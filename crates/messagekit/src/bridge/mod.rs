//! The bridge: a loop from a log to a broker, nothing lost and the order of keys kept.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use messagekit::bridge::{Bridge, Rule};
//! use messagekit::memory::MemoryLog;
//! use messagekit::{Message, Publisher, Shutdown, headers};
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
//! # What it promises
//!
//! Every record of its topics is published at least once, with the same id, key, headers and payload bytes, or is a dead
//! dead letter in full, before its offset moves. Inside one key of the source, first deliveries keep their order: the next
//! message is published when the one before is confirmed. A record that comes twice carries the same id and the same bytes.
//!
//! An outage of the broker is waited for: nothing is settled, nothing fails, and the lanes are paused when their windows are
//! full, so that memory is bounded however long it takes.

mod builder;
mod duplicates;
mod filter;
mod job;
mod lane;
mod routing_key;
mod rule;
mod run;
mod sending;
mod settings;
mod stats;
mod timers;

pub use builder::{Bridge, BridgeBuilder};
pub use duplicates::{Duplicates, ProcessedIds};
pub use routing_key::RoutingKey;
pub use rule::Rule;
pub use stats::{Blocked, BridgeStats, Stats};
