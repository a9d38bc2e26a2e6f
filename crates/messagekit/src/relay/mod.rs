//! The relay: from the outbox to a broker, nothing skipped and the order of keys kept.

mod reader;
mod rejected;

pub use reader::{Leases, OutboxReader, Page, Pending, Rejection, SHARDS, ShardLease, Wanted};
pub use rejected::{RejectedEvent, RejectedEvents};
