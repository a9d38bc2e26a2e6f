//! Waits for the write lock of another process.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// SQLite's own back-off starves one of two processes for seconds; a wait of at most 2 ms keeps the longest near 40 ms.
const FIRST_MICROS: u64 = 100;
const MAX_MICROS: u64 = 2_000;

thread_local! {
    // rusqlite accepts only a plain function here, so its state is thread-local.
    static LIMIT: Cell<Duration> = const { Cell::new(Duration::from_secs(5)) };
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes a connection wait with jitter, up to the limit of the thread that uses it.
pub(crate) fn install(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait))
}

/// Sets how long this thread waits, and returns the previous limit.
pub(crate) fn set_limit(limit: Duration) -> Duration {
    LIMIT.replace(limit)
}

fn wait(count: i32) -> bool {
    let now = Instant::now();
    if count == 0 {
        SINCE.set(Some(now));
    }
    let waited = SINCE.get().map_or(Duration::ZERO, |since| now.duration_since(since));
    let Some(left) = LIMIT.get().checked_sub(waited).filter(|left| !left.is_zero()) else { return false };
    let ceiling = (FIRST_MICROS << count.clamp(0, 8)).min(MAX_MICROS);
    thread::sleep(left.min(Duration::from_micros(fastrand::u64(ceiling / 2..=ceiling))));
    true
}
