//! The atomics of [`in_flight`](crate::in_flight) and of the flow of a log, and the bounds of the former: `tests/threads` compiles those
//! files against smaller bounds and shuttle's atomics.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many messages may be in flight to the subscriber.
pub(crate) const MESSAGES: usize = 256;
/// How many bytes may be in flight to the subscriber, the last message not counted.
pub(crate) const BYTES: usize = 8 * 1024 * 1024;
