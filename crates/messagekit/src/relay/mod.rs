//! The relay: from the outbox to a broker, nothing skipped and the order of keys kept.
//!
//! ```
//! use std::sync::Arc;
//! use messagekit::relay::{OutboxReader, Relay};
//! use messagekit::{Error, Publisher, Shutdown};
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
//! # What it promises
//!
//! Every committed event is published at least once, with the same id, key, headers and payload bytes each time; none that
//! was rolled back ever is. A transaction that commits late is found late and never skipped, because an event is found by being
//! pending and by no cursor: each shard of the outbox is read from its beginning at least every 200 ms (where such reads take
//! long, they take an eighth of the time, a few shards at once).
//!
//! Inside one topic and key, first appearances keep the order of the outbox, provided that the writers of a key commit in the
//! order in which they add. Several relays share the outbox by shards, with leases by the clock of the database. One that dies
//! is replaced when its lease ends, or at once where the database tells that it is gone (PostgreSQL); one that was frozen and
//! goes on makes copies and changes no order.
//!
//! An event that the broker refuses for good, or that cannot be read, is set aside with everything of its topic and key behind
//! it, until an operator decides ([`RejectedEvents`]); other keys go on. An outage is waited for: the topic is paused for 50 ms
//! to 2 s at a time, and for 1 s to 30 s where a queue has no room, and then tried again, however long it takes, and other topics
//! go on. A topic that gets no answer at all is left out after a second, and its shards may be handed over.
//!
//! # What it does not promise
//!
//! - An event may come twice, after a crash, an unanswered publish or a frozen relay: consumers deduplicate by its id.
//! - Between events without a key, of two topics, or of two keys there is no order.
//! - A delayed event takes part in the order of its key from when it is seen to be due, up to 200 ms after its time: what its key
//!   commits until then goes out before it.
//! - An event that another process has committed waits for the poll, 50 ms unless set otherwise, a tenth of it while more come;
//!   one that passed it by a late commit, up to 200 ms more.

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
pub use reader::{Leases, OutboxReader, Page, Pending, PendingId, Rejection, SHARDS, ShardLease, ShardRead};
pub use rejected::{RejectedEvent, RejectedEvents};
pub use stats::{PausedTopic, RelayStats, Stats};
