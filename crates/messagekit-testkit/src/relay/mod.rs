//! The promises of an outbox to its relays and their operators.

mod fixture;
pub mod leases;
mod list;
pub mod reading;
pub mod rejected;
pub mod storm;
pub mod waking;

pub use fixture::{RelayFixture, TOPICS};
pub use list::{RelayCase, all, run};
