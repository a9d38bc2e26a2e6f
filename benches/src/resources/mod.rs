//! The resources of a run: a database, a topic, a queue, a program. Each is created for one run and removed after it.

mod database;
mod program;
mod queue;
mod topic;

pub(crate) use database::{Database, TOGETHER};
pub(crate) use program::{Program, folder};
pub(crate) use queue::Queue;
pub(crate) use topic::{PARTITIONS, Topic};

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns an unused name.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("bench_{now}_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes a resource from a destructor under any runtime: on a thread with its own runtime.
fn remove_behind(what: String, removing: impl Future<Output = crate::frame::Outcome<()>> + Send) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let removed = std::thread::scope(|scope| {
        scope
            .spawn(move || runtime()?.block_on(removing))
            .join()
            .unwrap_or_else(|_| Err("it panicked".into()))
    });
    if let Err(error) = removed {
        left_behind(&what, &*error);
    }
}

#[allow(clippy::print_stderr, reason = "somebody must remove it by hand")]
fn left_behind(what: &str, error: &dyn std::fmt::Display) {
    eprintln!("{what} is left behind: {error}");
}
