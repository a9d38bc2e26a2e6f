//! Finding the message that ends its process.
//!
//! A handler may end the whole process: its stack overflows, its memory is used up. What a dead process had not committed is
//! delivered again and is fresh, so the culprit is among the first fresh messages of a lane after an assignment. Before each
//! batch of those the lane records an *in-flight attempt* in the database, and withdraws it when the batch is over. An attempt
//! of another run that stands there already means that a process died in such a batch. The lane then bisects down to single
//! messages: it runs them one at a time, each behind an attempt of its own, and nothing else runs in the consumer meanwhile.
//! The message with the attempt when the process dies is the culprit. The transaction that applies or parks a message clears its
//! attempts; a normal stop, an outage and a failure withdraw this run's. A message with five attempts of other runs is dead:
//! after the time of a run, because a live member may be running a copy of it and clears or withdraws its attempt by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Backoff;
use super::settings::{CRASHES, Settings};
use crate::store::{End, Failure, FailureKind, Inbox};
use crate::{Error, MessageId, chain, crash};

/// A lane of all partitions delivers up to 64 messages of each in turn. This covers what a process held of sixteen.
const FIRST_OF_ALL: u32 = 1_024;
/// How soon, and how rarely, the lane looks whether the attempts of others still stand.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// How a lane guards itself against a message that ends its process. It belongs to the state of the lane and decides; the
/// functions below obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CrashGuard {
    mode: Mode,
    /// How many of the first messages are guarded, and how many of them are not finished.
    first: u32,
    left: u32,
    /// Since when the first message has so many attempts of others that it may be dead.
    watched: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One attempt for each batch: no crash is known.
    Batch,
    /// One attempt for each message: a process died in a batch.
    OneByOne,
    /// The first messages are finished, and this process lives.
    Off,
}

/// What becomes of a message with attempts of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Run,
    /// The others may live: withdraw, and look again after this time. They have had `given` so far.
    Wait {
        wait: Duration,
        given: Duration,
    },
    Dead,
}

impl CrashGuard {
    /// `lane` is the name that its source gives it, and a batch holds `batch` messages.
    pub(super) fn new(lane: &str, batch: u32) -> Self {
        let first = if lane.is_empty() { batch.max(FIRST_OF_ALL) } else { batch };
        Self { mode: Mode::Batch, first, left: first, watched: None }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Says that a process died in a batch of the lane. A queue may deliver what it held behind finished messages, so the count
    /// begins anew.
    pub(super) fn crash_found(&mut self) {
        (self.mode, self.left) = (Mode::OneByOne, self.first);
    }

    /// So many of the first messages are finished; duplicates do not count, because fresh ones stand behind them.
    pub(super) fn finished(&mut self, messages: u32) {
        self.left = self.left.saturating_sub(messages);
        if self.left == 0 && self.mode == Mode::Batch {
            self.mode = Mode::Off;
        }
    }

    /// The culprit is found, or the lane has delivered everything that the dead process held.
    pub(super) fn all_finished(&mut self) {
        self.finished(self.left);
    }

    /// Returns whether the attempts of the lane's batches are to be cleared.
    pub(super) fn is_over(&self) -> bool {
        self.mode == Mode::OneByOne && self.left == 0
    }

    pub(super) fn cleared(&mut self) {
        self.mode = Mode::Off;
    }

    /// Judges the first message by the attempts of others. The time they have counts from when this lane saw the attempts: a time
    /// in the database would run on through an outage, in which no member can answer.
    pub(super) fn judge(&mut self, others: u32, now: Instant, longest_run: Duration) -> Judgement {
        if others < CRASHES {
            return Judgement::Run;
        }
        let given = now.duration_since(*self.watched.get_or_insert(now));
        if given >= longest_run {
            return Judgement::Dead;
        }
        Judgement::Wait { wait: given.clamp(FIRST_LOOK, LONGEST_LOOK), given }
    }

    /// Another message is the first one now, or the run ended without a look.
    pub(super) fn stop_watching(&mut self) {
        self.watched = None;
    }
}

/// The failure of a message that has ended too many processes.
pub(super) fn poison_message(crash_count: u32) -> Failure {
    Failure::permanent(FailureKind::PoisonMessage, format!("ended its process {crash_count} times"))
}

/// Records that this run is about to handle a message or a batch, and returns how many attempts of other runs stand.
pub(super) async fn begin_attempt<S: Inbox>(settings: &Settings<S>, of: &MessageId) -> Result<u32, Error> {
    let others = settings.store.begin_attempt(&settings.name, of, &settings.run).await?;
    crash::point("consumer.attempt_begun");
    Ok(others)
}

/// Withdraws the attempt of a message, again while the store is away: it would count as a crash of this process.
pub(super) async fn withdraw<S: Inbox>(settings: &Settings<S>, of: &MessageId, stop: &AtomicBool) {
    let consumer = &*settings.name;
    let mut outages: u32 = 0;
    while let Err(error) = settings.store.withdraw_attempt(consumer, of, &settings.run).await {
        if !error.is_transient() || stop.load(Ordering::Relaxed) {
            tracing::warn!(consumer, attempt = %of, error = %chain(&error), "in-flight attempt stays");
            return;
        }
        tracing::debug!(consumer, attempt = %of, error = %chain(&error), "in-flight attempt stays for now");
        outages += 1;
        // Short: a stop is noticed in between.
        tokio::time::sleep(Backoff::OUTAGE.delay(outages.min(4))).await;
    }
}

/// Withdraws the attempt of a batch, once: the next run of the lane does it otherwise, and waits for the outage like any run.
pub(super) async fn withdraw_batch<S: Inbox>(settings: &Settings<S>, of: &MessageId) -> bool {
    let consumer = &*settings.name;
    let withdrawn = settings.store.withdraw_attempt(consumer, of, &settings.run).await;
    if let Err(error) = &withdrawn {
        tracing::debug!(consumer, attempt = %of, error = %chain(error), "in-flight attempt of a batch stays for now");
    }
    withdrawn.is_ok()
}

/// Clears all attempts of the lane's batches. One that stays makes the next start a careful one.
pub(super) async fn clear_batch<S: Inbox>(settings: &Arc<Settings<S>>, of: &MessageId) {
    let (shared, id) = (Arc::clone(settings), of.clone());
    let clears = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let end = match shared.store.clear_attempts(&mut tx, &shared.name, &id).await {
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
        assert_eq!(guard.judge(4, start, RUN), Judgement::Run);
        let waits = |judged| matches!(judged, Judgement::Wait { .. });
        assert!(waits(guard.judge(5, start, RUN)));
        assert!(waits(guard.judge(5, start + RUN - FIRST_LOOK, RUN)));
        assert_eq!(guard.judge(5, start + RUN, RUN), Judgement::Dead);
        guard.stop_watching();
        assert!(waits(guard.judge(5, start + RUN, RUN)), "another message has the whole time");
    }
}
