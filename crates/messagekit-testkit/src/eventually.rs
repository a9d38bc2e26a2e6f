//! Waiting for a condition.

use std::time::Duration;

use tokio::time::Instant;

/// The time that a case waits for something that must happen. It is several times the duration of a rebalance of a real
/// broker on a busy machine. A case that passes does not use it up.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `holds` returns true, with growing pauses, and panics with `what` after `deadline`.
///
/// Under a paused clock the pauses take no time.
///
/// # Panics
/// Panics when the deadline passes.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use messagekit_memory::MemoryLog;
/// use messagekit::Message;
/// use messagekit::adapter::Publisher;
/// use messagekit_testkit::eventually;
///
/// let log = MemoryLog::new(1);
/// let writer = log.clone();
/// tokio::spawn(async move { writer.publish(&[Message::new("orders", "1")]).await });
/// eventually("the order is written", Duration::from_secs(5), async || log.len("orders") == 1).await;
/// # });
/// ```
pub async fn eventually(what: &str, deadline: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(1);
    while !holds().await {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
