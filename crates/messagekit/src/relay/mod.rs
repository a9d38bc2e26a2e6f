//! The relay publishes events from the outbox to a broker. It skips none and keeps the order of each key.
//!
//! ```
//! use std::sync::Arc;
//! use messagekit::relay::{OutboxReader, Relay};
//! use messagekit::{Error, Shutdown};
//! use messagekit::adapter::Publisher;
//!
//! /// Beside the service that writes the events, or in a process of its own. In life the outbox is a `PostgresStore` and the
//! /// broker `kafka.publisher()` or `rabbit.publisher_to("events")`.
//! async fn relay(outbox: Arc<dyn OutboxReader>, broker: Arc<dyn Publisher>) -> Result<(), Error> {
//!     let relay = Relay::builder("order-service").reader(outbox).to(broker).build()?;
//!     let stats = relay.stats();
//!     relay.run(Shutdown::on_signal()?).await?;
//!     println!("{} events published", stats.read().published);
//!     Ok(())
//! }
//! ```
//!
//! # Guarantees
//!
//! The relay publishes every committed event at least once, with the same id, key, headers and payload bytes each time. It
//! never publishes an event of a rolled-back transaction. It finds late commits and never skips them, because it finds an event
//! by its pending state and not by a cursor. It reads each shard of the outbox from the beginning at least every 200 ms. If
//! such reads are slow, they take an eighth of the time, a few shards at once.
//!
//! Within one topic and key, first publications keep the order of the outbox. The writers of a key must commit in the order in
//! which they add. Several relays share the outbox by shards, with leases by the clock of the database. When a relay crashes,
//! another takes over when its lease ends, or at once if the database reports the loss (PostgreSQL). A relay that was frozen
//! and resumes publishes duplicates and changes no order.
//!
//! The relay sets aside an event that the broker rejects for good, or that cannot be read. It also sets aside all later events
//! of its topic and key, until an operator decides ([`RejectedEvents`]). Other keys continue. In an outage, the relay pauses
//! the topic for 50 ms to 2 s at a time; if a queue is full, for 1 s to 30 s. It then retries without a limit, and other topics
//! continue. After one second without an answer, the relay leaves a topic out, and its shards may be handed over.
//!
//! # Limits
//!
//! - An event may be published twice after a crash, an unanswered call or a frozen relay: consumers deduplicate by its id.
//! - There is no order between events without a key, events of two topics, or events of two keys.
//! - A delayed event joins the order of its key when the relay finds it due, up to 200 ms after its time. Events of its key
//!   that are committed until then are published before it.
//! - An event that another process has committed waits for the poll: 50 ms by default, a tenth of that while more events
//!   arrive. A late commit behind a later event waits up to 200 ms more.

mod adaptive_page;
mod alarm;
mod builder;
mod confirmed;
mod delayed;
mod publish_batch;
mod reader;
mod rejected;
mod reporter;
mod run;
mod sending;
mod settings;
mod shards;
mod single_flight;
mod stats;
mod topics;

pub use builder::{Relay, RelayBuilder};
pub use reader::{
    LONGEST_LEASE, Leases, OutboxReader, Page, Pending, PendingId, Rejection, SHARDS, ShardLease, ShardRead,
};
pub use rejected::{RejectedAction, RejectedEvent, RejectedEvents, no_rejected_event};
pub use stats::{PausedTopic, RelayStats, Stats};
