//! The duration of tests, and their waits.

use std::time::{Duration, Instant};

/// The time limit for events in the test's own process.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Polls until `holds` returns true, for events in other processes.
///
/// # Panics
/// Panics when the deadline passes.
pub(crate) fn wait_until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
