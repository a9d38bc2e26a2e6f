//! The promises of a transport.
//!
//! Delivery is at least once: cases accept duplicates where the traits do. They compare arrivals as sets, and prove
//! non-arrival with a sentinel that is published afterwards.

pub mod closing;
pub mod contents;
pub mod delivering;
mod fixture;
pub mod lagging;
mod list;
pub mod pausing;
pub mod publishing;
mod receiver;
pub mod settling;
pub mod sharing;

pub use fixture::{TransportFixture, message, publish, text, texts};
pub use list::{TransportCase, all, run};
pub use receiver::{Quiet, Receiver};
