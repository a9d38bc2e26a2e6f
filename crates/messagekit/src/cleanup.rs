//! Removes expired rows in small batches.
//!
//! [`clean`] removes published events, markers older than their consumer's dedup window, and settled failed messages.
//! It works in small transactions. A pause three times as long as the transaction follows each one, which leaves the
//! database to other clients most of the time.

use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::BoxFuture;
use crate::{Error, ErrorKind};

/// Extra time that a marker is kept beyond its consumer's dedup window. A message's time comes from the writer's
/// database clock, and a message may wait in a lane.
pub const MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a recorded dedup window counts: as long as an old process may run beside a new one.
pub const NOTED_WITHIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Selects the kind of rows that a cleanup removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CleanupTarget {
    /// Events of the outbox that are proven to be published.
    Events,
    /// Markers of applied messages older than their consumer's dedup window, and markers of discarded messages whose
    /// failed message is removed. Markers of open failed messages and of consumers without a window are kept. A
    /// consumer learns of the removal when it [records its window](crate::adapter::Markers::note_window).
    Markers,
    /// Failed messages that were resolved or discarded.
    FailedMessages,
}

crate::__words! {
    /// Failed messages precede markers, because a marker outlives its failed message.
    CleanupTarget {
        Events: "events",
        FailedMessages: "failed_messages",
        Markers: "markers",
    }
}

/// Sets how long rows are kept after their last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Retention of events, counted from when they were written. A replay can publish kept events again.
    pub events: Duration,
    /// Retention of settled failed messages, counted from when they were settled. Operators can inspect a kept message
    /// and undo its discard.
    pub failed_messages: Duration,
}

impl Default for Retention {
    /// Seven days for events, thirty for failed messages.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { events: day * 7, failed_messages: day * 30 }
    }
}

/// Reports what one cleanup step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupStep {
    /// Number of rows removed one by one; in a trial, the number it would remove.
    pub removed: u64,
    /// Number of whole days removed at once; in a trial, the number it would remove. Their rows are not counted.
    pub days: u64,
    /// Cursor at which the next step begins; `None` at the end.
    pub next: Option<String>,
    /// Human-readable reason why this kind cannot be removed now.
    pub kept_because: Option<String>,
}

/// Describes one cleanup step.
#[derive(Clone, Copy, Debug)]
pub struct CleanupRequest<'a> {
    /// Kind of rows to remove.
    pub what: CleanupTarget,
    /// Retention of each kind.
    pub retention: &'a Retention,
    /// Cursor of the previous step ([`CleanupStep::next`]); `None` for the first step.
    pub from: Option<&'a str>,
    /// Whether the step only counts rows.
    pub is_trial: bool,
}

/// Removes expired rows from a database.
pub trait Cleanup: Send + Sync {
    /// Processes one range of one kind in a transaction that holds its locks for some milliseconds. Rows locked by
    /// other transactions are skipped.
    ///
    /// # Errors
    /// Transient if the database does not respond. The range was removed completely or not at all; repeat the same
    /// step.
    fn remove_step<'a>(&'a self, request: CleanupRequest<'a>) -> BoxFuture<'a, Result<CleanupStep, Error>>;
}

/// Creates the error for a [`CleanupRequest::from`] that no step of a cleanup has returned; every store uses it.
pub fn no_cleanup_step(from: &str) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "not a place where a step of a cleanup has ended")
        .with("from", from)
}

/// Reports what a cleanup did with one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupReport {
    /// Kind of rows.
    pub what: CleanupTarget,
    /// Number of rows removed one by one; in a trial, the number it would remove.
    pub removed: u64,
    /// Number of whole days removed at once from a table partitioned by day.
    pub days: u64,
    /// Reason why this kind was kept, if it could not be removed.
    pub kept_because: Option<String>,
}

/// Runs one cleanup of all kinds until its end or until `shutdown`. Rows removed before a shutdown stay removed.
///
/// Any number of cleanups may run at once, and each may be killed at any time. Run it every night, or in a loop.
///
/// # Errors
/// Returns the first error of a step; see [`Cleanup::remove_step`].
///
/// # Cancel safety
/// Dropping the future ends the cleanup between two steps. Completed steps stay committed.
pub async fn clean(
    store: &dyn Cleanup,
    retention: &Retention,
    is_trial: bool,
    shutdown: impl IntoFuture<Output = ()>,
) -> Result<Vec<CleanupReport>, Error> {
    let mut shutdown = pin!(shutdown.into_future());
    let mut cleaned = Vec::new();
    for what in CleanupTarget::ALL {
        let mut done = CleanupReport { what, removed: 0, days: 0, kept_because: None };
        let mut from: Option<String> = None;
        loop {
            let started = Instant::now();
            let request = CleanupRequest { what, retention, from: from.as_deref(), is_trial };
            let step = store.remove_step(request).await?;
            done.removed += step.removed;
            done.days += step.days;
            done.kept_because = done.kept_because.or(step.kept_because);
            from = step.next;
            if from.is_none() {
                break;
            }
            let pause = if step.removed + step.days > 0 && !is_trial {
                started.elapsed() * 3
            } else {
                Duration::ZERO
            };
            let is_over = tokio::select! {
                biased;
                () = shutdown.as_mut() => true,
                () = tokio::time::sleep(pause) => false,
            };
            if is_over {
                cleaned.push(done);
                return Ok(cleaned);
            }
        }
        cleaned.push(done);
    }
    Ok(cleaned)
}
