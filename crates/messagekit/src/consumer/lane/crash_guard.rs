//! Finds the message that crashes its process.
//!
//! A handler may crash the whole process: its stack overflows, or its memory is used up. Messages that a crashed process had
//! not committed are delivered again and are fresh. The culprit is therefore among the first fresh messages of a lane after an
//! assignment. Before each batch of those messages, the lane records an *in-flight attempt* in the database, and withdraws it
//! when the batch ends. An existing attempt of another run means that a process crashed in such a batch. The lane then runs
//! those messages one at a time, each behind its own attempt, and nothing else runs in the consumer meanwhile. The message with
//! the attempt at the time of the crash is the culprit. The transaction that applies or parks a message clears its attempts; a
//! normal stop, an outage and a failure withdraw this run's. A message with five attempts of other runs is dead after the maximum
//! time of a run. The lane waits that long because a live member may be running a copy of it, and clears or withdraws its attempt
//! by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::consumer::Backoff;
use crate::consumer::settings::{CRASHES, Settings};
use crate::store::{Attempts, End, Failure, FailureKind, Inbox};
use crate::{Error, MessageId, chain, crash};

/// A lane of all partitions delivers up to 64 messages of each in turn. This covers the messages that a process held of
/// sixteen.
const FIRST_OF_ALL: u32 = 1_024;
/// Shortest and longest interval at which the lane checks whether the attempts of others still exist.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Guards a lane against a message that crashes its process. It is part of the lane's state and decides; the functions below
/// execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) struct CrashGuard {
    mode: Mode,
    /// Number of guarded first messages, and number of those that are not finished.
    first: u32,
    left: u32,
    /// Since this time the first message has enough attempts of others to be dead.
    watched: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum Mode {
    /// One attempt per batch: no crash is known.
    Batch,
    /// One attempt per message: a process crashed in a batch.
    OneByOne,
    /// The first messages are finished without a crash.
    Off,
}

/// The decision on a message with attempts of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum Judgement {
    MayRun,
    /// The other runs may be alive: withdraw, and check again after this time. They have had `given` so far.
    Wait {
        wait: Duration,
        given: Duration,
    },
    Dead,
}

impl CrashGuard {
    /// `lane` is the name that the source gives it, and a batch has `batch` messages.
    pub(in crate::consumer) fn new(lane: &str, batch: u32) -> Self {
        let first = if lane.is_empty() { batch.max(FIRST_OF_ALL) } else { batch };
        Self { mode: Mode::Batch, first, left: first, watched: None }
    }

    pub(in crate::consumer) fn mode(&self) -> Mode {
        self.mode
    }

    /// Records that a process crashed in a batch of the lane. A queue may deliver its messages behind finished ones, so the
    /// count restarts.
    pub(in crate::consumer) fn crash_found(&mut self) {
        (self.mode, self.left) = (Mode::OneByOne, self.first);
    }

    /// Counts finished first messages. Duplicates do not count, because fresh messages are behind them.
    pub(in crate::consumer) fn finished(&mut self, messages: u32) {
        self.left = self.left.saturating_sub(messages);
        if self.left == 0 && self.mode == Mode::Batch {
            self.mode = Mode::Off;
        }
    }

    /// The culprit is found, or the lane has delivered all messages of the crashed process.
    pub(in crate::consumer) fn all_finished(&mut self) {
        self.finished(self.left);
    }

    /// Returns whether the lane must clear the attempts of its batches.
    pub(in crate::consumer) fn is_over(&self) -> bool {
        self.mode == Mode::OneByOne && self.left == 0
    }

    pub(in crate::consumer) fn cleared(&mut self) {
        self.mode = Mode::Off;
    }

    /// Decides on the first message by the attempts of others. Their time counts from when this lane saw the attempts: a time
    /// in the database would continue during an outage, in which no member can withdraw.
    pub(in crate::consumer) fn judge(
        &mut self,
        others: u32,
        now: Instant,
        longest_run: Duration,
    ) -> Judgement {
        if others < CRASHES {
            return Judgement::MayRun;
        }
        let given = now.duration_since(*self.watched.get_or_insert(now));
        if given >= longest_run {
            return Judgement::Dead;
        }
        Judgement::Wait { wait: given.clamp(FIRST_LOOK, LONGEST_LOOK), given }
    }

    /// Resets the time: the first message is another one, or the run ended without a check.
    pub(super) fn stop_watching(&mut self) {
        self.watched = None;
    }
}

/// The failure of a message that has crashed too many processes.
pub(in crate::consumer) fn poison_message(crash_count: u32) -> Failure {
    Failure::permanent(FailureKind::PoisonMessage, format!("ended its process {crash_count} times"))
}

/// Records that this run is about to handle a message or a batch, and returns the number of attempts of other runs.
pub(in crate::consumer) async fn begin_attempt<S: Inbox>(
    settings: &Settings<S>,
    of: &MessageId,
) -> Result<u32, Error> {
    let others = settings.store.attempts().begin_attempt(&settings.name, of, &settings.run).await?;
    crash::point("consumer.attempt_begun");
    Ok(others)
}

/// Withdraws the attempt of a message, and retries during an outage: it would count as a crash of this process.
pub(in crate::consumer) async fn withdraw<S: Inbox>(
    settings: &Settings<S>,
    of: &MessageId,
    stop: &AtomicBool,
) {
    let consumer = &*settings.name;
    let mut outages: u32 = 0;
    while let Err(error) = settings.store.attempts().withdraw_attempt(consumer, of, &settings.run).await {
        if !error.is_transient() || stop.load(Ordering::Relaxed) {
            tracing::warn!(consumer, attempt = %of, error = %chain(&error), "in-flight attempt stays");
            return;
        }
        tracing::debug!(consumer, attempt = %of, error = %chain(&error), "in-flight attempt stays for now");
        outages += 1;
        // Short waits, so a stop is noticed between them.
        tokio::time::sleep(Backoff::OUTAGE.delay(outages.min(4))).await;
    }
}

/// Tries once to withdraw the attempt of a batch. After a failure, the next run of the lane withdraws it and waits for the
/// outage like any run.
pub(in crate::consumer) async fn withdraw_batch<S: Inbox>(settings: &Settings<S>, of: &MessageId) -> bool {
    let consumer = &*settings.name;
    let withdrawn = settings.store.attempts().withdraw_attempt(consumer, of, &settings.run).await;
    if let Err(error) = &withdrawn {
        tracing::debug!(consumer, attempt = %of, error = %chain(error), "in-flight attempt of a batch stays for now");
    }
    withdrawn.is_ok()
}

/// Clears all attempts of the lane's batches. A remaining attempt makes the next start run messages one by one.
pub(in crate::consumer) async fn clear_batch<S: Inbox>(settings: &Arc<Settings<S>>, of: &MessageId) {
    let (shared, id) = (Arc::clone(settings), of.clone());
    let clears = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let end = match shared.store.attempts().clear_attempts(&mut tx, &shared.name, &id).await {
                Ok(()) => End::Commit(Ok(())),
                Err(error) => End::Rollback(Err(error)),
            };
            (tx, end)
        })
    }));
    if let Err(error) = clears.await.unwrap_or_else(|error| Err(error.error().clone())) {
        let consumer = &*settings.name;
        tracing::debug!(consumer, attempt = %of, error = %chain(&error), "in-flight attempts of a batch stay");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_of_all_partitions_guards_the_first_messages_of_each() {
        assert_eq!(CrashGuard::new("orders/3", 200).left, 200);
        assert_eq!(CrashGuard::new("", 200).left, FIRST_OF_ALL);
        assert_eq!(CrashGuard::new("", 5_000).left, 5_000);
    }

    #[test]
    fn a_crash_that_is_found_late_is_guarded_like_one_at_a_start() {
        let mut guard = CrashGuard::new("orders/3", 200);
        guard.finished(195);
        guard.crash_found();
        assert_eq!((guard.mode, guard.left), (Mode::OneByOne, 200));
        guard.all_finished();
        assert!(guard.is_over(), "the attempts are to be cleared first");
        guard.cleared();
        assert_eq!(guard.mode, Mode::Off);
    }

    #[test]
    fn five_attempts_are_crashes_after_the_time_of_a_run() {
        const RUN: Duration = Duration::from_secs(65);
        let (mut guard, start) = (CrashGuard::new("orders/3", 200), Instant::now());
        assert_eq!(guard.judge(4, start, RUN), Judgement::MayRun);
        let waits = |judged| matches!(judged, Judgement::Wait { .. });
        assert!(waits(guard.judge(5, start, RUN)));
        assert!(waits(guard.judge(5, start + RUN - FIRST_LOOK, RUN)));
        assert_eq!(guard.judge(5, start + RUN, RUN), Judgement::Dead);
        guard.stop_watching();
        assert!(waits(guard.judge(5, start + RUN, RUN)), "another message has the whole time");
    }
}
