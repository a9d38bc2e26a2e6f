//! What every transport promises.
//!
//! Delivery is at least once: cases accept duplicates where the traits do, and state what must arrive as sets, what must
//! not arrive with a sentinel published behind it.

pub mod closing;
pub mod contents;
pub mod delivering;
mod fixture;
mod list;
pub mod pausing;
pub mod publishing;
mod receiver;
pub mod settling;
pub mod sharing;

pub use fixture::{TransportFixture, message, publish, text, texts};
pub use list::{TransportCase, all, run};
pub use receiver::{Quiet, Receiver};
