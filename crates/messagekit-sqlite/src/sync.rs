//! The threads and atomics of files that `tests/threads` compiles with shuttle's.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::thread::{Thread, current, park_timeout};
