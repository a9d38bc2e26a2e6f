//! One test at a time: they share a broker, a worker and the fixed topics of the services, and some take all of it down.

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other test of this binary runs; the guard is the turn.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// The same outside of a runtime.
pub(crate) fn alone_blocking() -> MutexGuard<'static, ()> {
    TURN.blocking_lock()
}
