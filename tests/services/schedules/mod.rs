//! What the random schedules of several databases share: owners, retries and operators work on the failed messages of one
//! consumer. Each database has its own roles, for they meet at different places.

mod counters;
mod invariants;
mod records;

pub use invariants::{out_of_order, out_of_range};
pub use records::{LONG, Record, Reprocess, TOPIC, limits, log, next_offset, unused};
