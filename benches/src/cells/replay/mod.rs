//! Reading the past of a topic of Kafka: as a log, and in the order of its time.

mod arrivals;
mod bare;
mod fixture;
mod in_order;
mod python;
mod read_log;

pub(crate) use in_order::L2;
pub(crate) use read_log::L1;
