//! Messages that are run one at a time, each noted before its handler, so that a death names its culprit.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Backoff;
use super::batch::Batch;
use super::settings::{KILLS, Settings};
use crate::store::{Claim, ClaimRequest, End, Failure, FailureKind, Inbox};
use crate::{Error, MessageId, chain, crash};

/// A message that as many have noted without an answer as may die of it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) message: MessageId,
    since: Instant,
}

impl Watched {
    /// How long the others have been given so far. Whoever lives answers within the time of a run, counted from the moment at
    /// which this process could see the notes: while a database was away nobody could answer.
    pub(super) fn given(&self) -> Duration {
        self.since.elapsed()
    }
}

/// A batch that is worked through one message at a time, each noted before its handler starts.
pub(super) struct Caution {
    /// Which messages may run their handler: the others were finished before, or have none.
    fresh: Vec<bool>,
    /// The message that is noted now, or may be.
    noted: Option<usize>,
    /// How many messages are finished, from the first noted one.
    pub(super) finished: u32,
    /// The noted message is a killer that is to be set aside, and one was.
    killer: bool,
    pub(super) found: bool,
    /// What the lane waited for before this.
    watched: Option<Watched>,
    started: Instant,
}

/// What comes next.
pub(super) enum Step {
    Try(Careful),
    /// The time for others has come.
    Rest,
    /// As many have noted the first fresh message as may die of it, and some of them may live.
    Watch(Watched),
}

/// A range to try.
pub(super) struct Careful {
    /// At most one of its messages runs.
    pub(super) range: Range<usize>,
    /// The message that may run.
    pub(super) noted: Option<usize>,
    /// Why it does not run any more: it has ended too many processes.
    pub(super) killer: Option<Failure>,
}

impl Caution {
    /// Looks which messages are fresh, in one transaction that keeps nothing: duplicates cost no note.
    pub(super) async fn look<S: Inbox>(
        settings: &Arc<Settings<S>>,
        batch: &Batch<S>,
        watched: Option<Watched>,
    ) -> Result<Self, Error> {
        let handled: Vec<usize> = (0..batch.entries.len()).filter(|index| batch.is_handled(*index)).collect();
        let requests: Vec<ClaimRequest> =
            handled.iter().map(|index| settings.claim_of(&batch.entries[*index].received)).collect();
        let mut fresh = vec![false; batch.entries.len()];
        if !requests.is_empty() {
            let shared = Arc::clone(settings);
            let look = settings.store.transact(Box::new(move |mut tx| {
                Box::pin(async move {
                    let claims = shared.store.claim(&mut tx, &shared.name, &requests).await;
                    (tx, End::Rollback(claims))
                })
            }));
            let claims = look.await.map_err(|error| error.error().clone())??;
            for (index, claim) in handled.into_iter().zip(claims) {
                fresh[index] = claim == Claim::Fresh;
            }
        }
        Ok(Self {
            fresh,
            noted: None,
            finished: 0,
            killer: false,
            found: false,
            watched,
            started: Instant::now(),
        })
    }

    /// Ends a range with its first fresh message, and notes that one.
    pub(super) async fn next<S: Inbox>(
        &mut self,
        settings: &Settings<S>,
        batch: &Batch<S>,
        range: Range<usize>,
    ) -> Result<Step, Error> {
        let Some(first) = range.clone().find(|index| self.fresh[*index]) else {
            return Ok(Step::Try(Careful { range, noted: None, killer: None }));
        };
        let range = range.start..first + 1;
        if self.noted == Some(first) {
            return Ok(Step::Try(Careful { range, noted: Some(first), killer: None }));
        }
        if self.finished > 0 && self.started.elapsed() >= settings.batch.time {
            return Ok(Step::Rest);
        }
        // Set before the answer: when it is lost, the note may stand.
        self.noted = Some(first);
        let received = &batch.entries[first].received;
        let notes = suspect(settings, &received.id).await?;
        let mut killer = None;
        if notes >= KILLS {
            let known = self.watched.take().filter(|watched| watched.message == received.id);
            let watched =
                known.unwrap_or_else(|| Watched { message: received.id.clone(), since: Instant::now() });
            if watched.given() < settings.longest_run() {
                return Ok(Step::Watch(watched));
            }
            killer = Some(poison_message(notes));
        }
        self.killer = killer.is_some();
        Ok(Step::Try(Careful { range, noted: Some(first), killer }))
    }

    /// The range was committed as far as `through`; what it had noted is forgotten by that.
    pub(super) fn committed(&mut self, range: &Range<usize>, through: usize) {
        if self.finished > 0 {
            self.finished += u32::try_from(through.saturating_sub(range.start)).unwrap_or(u32::MAX);
        }
        if self.noted.is_some_and(|noted| noted < through) {
            self.noted = None;
            self.finished = self.finished.max(1);
            self.found |= self.killer;
        }
        if through < range.end {
            // It was finished a moment ago and is fresh now: it needs a note like any other.
            self.fresh[through] = true;
        }
    }

    /// Takes the note of a message back that has no answer although this process lives.
    pub(super) async fn stand_down<S: Inbox>(
        &self,
        settings: &Settings<S>,
        batch: &Batch<S>,
        stop: &AtomicBool,
    ) {
        if let Some(noted) = self.noted {
            stand_down(settings, &batch.entries[noted].received.id, stop).await;
        }
    }
}

/// The failure of a message that has ended too many processes.
pub(super) fn poison_message(crash_count: u32) -> Failure {
    Failure::permanent(FailureKind::PoisonMessage, format!("ended its process {crash_count} times"))
}

/// Notes that a message, or the first ones of a lane, are about to be handled, and returns how many others have and did not
/// answer.
pub(super) async fn suspect<S: Inbox>(settings: &Settings<S>, suspect: &MessageId) -> Result<u32, Error> {
    let notes = settings.store.begin_attempt(&settings.name, suspect, &settings.run).await?;
    crash::point("consumer.attempt_begun");
    Ok(notes)
}

/// Takes a note back, again while the store is down: it would count as the death of this process.
pub(super) async fn stand_down<S: Inbox>(settings: &Settings<S>, suspect: &MessageId, stop: &AtomicBool) {
    let consumer = &*settings.name;
    let mut outages: u32 = 0;
    loop {
        match settings.store.withdraw_attempt(consumer, suspect, &settings.run).await {
            Err(error) if error.is_transient() && !stop.load(Ordering::Relaxed) => {
                tracing::debug!(consumer, %suspect, error = %chain(&error), "note of a suspect stays for now");
                outages += 1;
                // Short: a stop is noticed in between.
                tokio::time::sleep(Backoff::OUTAGE.delay(outages.min(4))).await;
            }
            Err(error) => {
                tracing::warn!(consumer, %suspect, error = %chain(&error), "note of a suspect stays");
                return;
            }
            Ok(()) => return,
        }
    }
}
