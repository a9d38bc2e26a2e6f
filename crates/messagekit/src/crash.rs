//! Named crash points at which a test ends the process.
//!
//! Without the feature `crash-points` they do nothing. With it, the process aborts at the point that the environment
//! variable `MESSAGEKIT_CRASH_AT` names: `name` for the first time it is reached, `name:7` for the seventh.

/// Lists every crash point in the order in which a message reaches them.
pub const POINTS: [&str; 36] = [
    "outbox.written",
    "store.before_commit",
    "store.committed",
    "consumer.bound",
    "consumer.attempt_begun",
    "consumer.called",
    "consumer.claimed",
    "consumer.handled",
    "consumer.advanced",
    "consumer.committed",
    "consumer.settled",
    "set_aside.written",
    "set_aside.committed",
    "retry.leased",
    "retry.called",
    "retry.handled",
    "retry.resolved",
    "retry.committed",
    "priming.begun",
    "priming.live",
    "priming.finished",
    "migration.staged",
    "migration.swapped",
    "migration.committed",
    "relay.leased",
    "relay.read",
    "relay.published",
    "relay.rejected",
    "relay.settled",
    "bridge.published",
    "bridge.confirmed",
    "bridge.settled",
    "bridge.dead_lettered",
    "bookkeeper.kept",
    "bookkeeper.returned",
    "bookkeeper.resolved",
];

/// Aborts the process if a test selected this crash point.
#[cfg(feature = "crash-points")]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);

    debug_assert!(POINTS.contains(&name), "crash point {name} is not listed");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("MESSAGEKIT_CRASH_AT").ok()?;
        let (name, count) =
            text.split_once(':').map_or((text.as_str(), Some(1)), |(name, n)| (name, n.parse().ok()));
        assert!(POINTS.contains(&name), "MESSAGEKIT_CRASH_AT names {name:?}, which is no crash point");
        Some((name.to_owned(), count.expect("MESSAGEKIT_CRASH_AT counts with a number")))
    });
    if let Some((at, count)) = wanted
        && at == name
        && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        std::process::abort();
    }
}

/// Does nothing: this build has no crash points.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_name: &str) {}
