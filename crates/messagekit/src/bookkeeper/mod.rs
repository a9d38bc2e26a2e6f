//! Writing down what died at a broker, and sending it back when a person asks.
//!
//! A [`Bookkeeper`] is an idempotent consumer of RabbitMQ dead-letter queues and of dead-letter topics on Kafka. Each message
//! becomes a failed message beside those of the consumers, with the reason that its headers tell ([`Autopsy`]). A failed message
//! that an operator retries goes to exactly the queue it died in, or to the retry topic of the program that set it aside.

mod autopsy;
mod builder;
mod keeper;
mod reading;
mod returner;
mod stats;

pub use autopsy::Autopsy;
pub use builder::{Bookkeeper, BookkeeperBuilder};
pub use reading::Reading;
pub use stats::{BookkeeperCounts, BookkeeperStats};
