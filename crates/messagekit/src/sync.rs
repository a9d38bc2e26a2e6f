//! Lock types of the files that `tests/threads` compiles against shuttle's.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
