//! What [`in_flight`](crate::in_flight) counts with: `tests/threads` compiles that file against smaller bounds and shuttle's
//! atomics.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many messages may be on their way to the subscriber.
pub(crate) const MESSAGES: usize = 256;
/// How many bytes may be on their way to the subscriber, the last message not counted.
pub(crate) const BYTES: usize = 8 * 1024 * 1024;
