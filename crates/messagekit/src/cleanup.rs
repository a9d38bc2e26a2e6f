//! Removing what nobody needs any more, a little at a time.
//!
//! Events that have left the outbox, markers that are older than their consumer accepts messages, and failed messages that are
//! settled: [`clean`] goes through them in small transactions, each followed by a pause three times as long as it took, so that
//! whoever works beside it has the database for most of the time.

use std::fmt;
use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::store::BoxFuture;

/// How much longer a marker is kept than its consumer accepts the message: the time of a message comes from the database of
/// its writer, and a message may lie in a lane for a while.
pub const MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a window counts after a consumer has noted it: as long as an old process may run beside a new one.
pub const NOTED_WITHIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CleanupTarget {
    /// Events of the outbox that have provably left it.
    Events,
    /// Markers of applied messages that are older than the window of their consumer, and those of discarded ones whose failed
    /// message is gone. Never one of a failed message that is open, and none of a consumer without a window. Their consumer
    /// learns of it when it [notes its window](crate::Processed::note_window).
    Markers,
    /// Failed messages that were resolved or discarded.
    FailedMessages,
}

impl CleanupTarget {
    /// Every kind. Failed messages go before markers, because a marker outlives its failed message.
    pub const ALL: [Self; 3] = [Self::Events, Self::FailedMessages, Self::Markers];

    /// Returns the word that the command line uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Markers => "markers",
            Self::FailedMessages => "failed_messages",
        }
    }
}

impl fmt::Display for CleanupTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long things are kept that nothing else needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events, from when they were written. As long as they are there, a replay can publish them again.
    pub events: Duration,
    /// Settled failed messages, from when they were settled. As long as they are there, a person can look at them, and undo a
    /// discard.
    pub failed_messages: Duration,
}

impl Default for Retention {
    /// Seven days for events, thirty for failed messages.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { events: day * 7, failed_messages: day * 30 }
    }
}

/// What one small step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupStep {
    /// How many rows it removed one by one, or would have.
    pub removed: u64,
    /// How many whole days it removed at once, or would have: nobody counts their rows.
    pub days: u64,
    /// Where the next step begins; `None` at the end.
    pub next: Option<String>,
    /// Why this kind cannot be removed now, in words for people.
    pub kept_because: Option<String>,
}

/// What one small step is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct CleanupRequest<'a> {
    /// The kind.
    pub what: CleanupTarget,
    /// How long each kind is kept.
    pub retention: &'a Retention,
    /// Where the step before ended ([`CleanupStep::next`]); `None` for the beginning.
    pub from: Option<&'a str>,
    /// Only count.
    pub is_trial: bool,
}

/// A database that can remove what nobody needs any more.
pub trait Cleanup: Send + Sync {
    /// Goes through one stretch of one kind, in one transaction that holds its locks for some milliseconds. Rows that somebody
    /// else holds are passed over.
    ///
    /// # Errors
    /// Transient if the database does not answer: nothing was removed, or a whole stretch. Try the same step again.
    fn remove_step<'a>(&'a self, request: CleanupRequest<'a>) -> BoxFuture<'a, Result<CleanupStep, Error>>;
}

/// What a cleanup did with one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupReport {
    /// The kind.
    pub what: CleanupTarget,
    /// How many rows were removed one by one; in a trial, how many would have been.
    pub removed: u64,
    /// How many whole days were removed at once, from a table that is divided by day.
    pub days: u64,
    /// Why it was kept, where it could not be removed.
    pub kept_because: Option<String>,
}

/// Goes once through everything, until the end or until `shutdown`; what was removed by then stays removed.
///
/// Any number may run at once, and each may be killed at any time: a row is removed when it may be, whoever comes by. Run it
/// every night, or in a loop of your own.
///
/// # Errors
/// The first that a step answers.
///
/// # Cancel safety
/// Dropping it ends it between two steps.
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
