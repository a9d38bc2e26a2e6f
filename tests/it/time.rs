//! How long tests run, and how they wait.

use std::time::{Duration, Instant};

/// How long a test waits for what must happen in its own process.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Returns whether the long tests run in their stated size.
pub(crate) fn long() -> bool {
    std::env::var_os("MESSAGEKIT_FULL").is_some_and(|value| value == "1")
}

/// Asks again and again until `holds` answers true: for what other processes do.
///
/// # Panics
/// When the deadline passes.
pub(crate) fn wait_until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
