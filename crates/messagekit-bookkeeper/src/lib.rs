//! Records broker dead letters, and redelivers them at an operator's request.
//!
//! A [`Bookkeeper`] is an idempotent consumer of RabbitMQ dead-letter queues and of Kafka dead-letter topics. Each
//! message becomes a failed message beside those of the consumers, with the reason in its headers ([`DeathHeaders`]).
//! An operator's retry sends it to exactly the queue that dead-lettered it, or to the retry topic of the program that
//! set it aside.

mod builder;
mod death_headers;
mod reading;
mod recorder;
mod redelivery;
mod stats;

pub use builder::{Bookkeeper, BookkeeperBuilder};
pub use death_headers::DeathHeaders;
pub use reading::Reading;
pub use stats::{BookkeeperCounts, BookkeeperStats};
