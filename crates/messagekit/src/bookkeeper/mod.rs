//! Writing down what died at a broker, and sending it back when a person asks.
//!
//! A [`Bookkeeper`] is an idempotent consumer of RabbitMQ dead-letter queues and of dead-letter topics on Kafka. Each message
//! becomes a failed message beside those of the consumers, with the reason that its headers tell ([`DeathHeaders`]). A failed
//! message that an operator retries goes to exactly the queue it died in, or to the retry topic of the program that set it aside.

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
