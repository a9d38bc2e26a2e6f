//! Whether a message that says its dependency is down is alone with that.
//!
//! A handler may answer "unavailable" for one message for ever: an address that exists nowhere, an account that was closed. Nothing
//! of its lane would be applied any more, and nobody would be told. So what is behind it is asked: when another message can be
//! handled, the dependency is up, and this message has failed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::batch::{Batch, Entry};
use super::caution::{stand_down, suspect};
use super::fault::{Run, handle};
use super::router::Task;
use super::settings::{KILLS, Settings};
use crate::store::{Claim, End, Inbox, Store};

/// How long a message is believed that its dependency is down, while nothing else of its lane is applied.
pub(super) const BELIEVED: Duration = Duration::from_secs(10 * 60);

/// How many others say no before the question ends for this turn.
const ASKED: usize = 3;

/// The first message of a lane is not believed any more; who else is asked.
pub(super) struct Doubtful<S: Store> {
    /// What waits behind the batch, in order.
    pub(super) waiting: Vec<Arc<Entry<S>>>,
}

impl<S: Inbox> Doubtful<S> {
    /// Returns whether another message can be handled now, in a transaction that keeps nothing: of each other key the first one,
    /// which must not run before what it is behind.
    pub(super) async fn another_runs(
        &self,
        settings: &Arc<Settings<S>>,
        batch: &Batch<S>,
        cautious: bool,
        stop: &AtomicBool,
    ) -> bool {
        let in_batch =
            batch.entries.iter().enumerate().map(|(index, entry)| (entry, batch.is_handled(index)));
        let waiting = self.waiting.iter().map(|entry| (entry, matches!(entry.task, Task::Handle { .. })));
        let mut behind = HashSet::new();
        let mut said_no = 0;
        for (place, (entry, is_handled)) in in_batch.chain(waiting).enumerate() {
            let key = entry.received.message.key.as_ref();
            if key.is_some_and(|key| behind.contains(key)) || matches!(entry.task, Task::Ignore) {
                continue;
            }
            if place == 0 || !is_handled {
                behind.extend(key);
                continue;
            }
            let suspected = &entry.received.id;
            if cautious && !suspect(settings, suspected).await.is_ok_and(|others| others < KILLS) {
                stand_down(settings, suspected, stop).await;
                return false;
            }
            let answer = ask(settings, entry).await;
            if cautious {
                stand_down(settings, suspected, stop).await;
            }
            match answer {
                Asked::Runs => return true,
                Asked::Fails => said_no += 1,
                Asked::StoreFails => return false,
                Asked::IsHeld => {}
                Asked::WasApplied => continue,
            }
            behind.extend(key);
            if said_no == ASKED || stop.load(Ordering::Relaxed) {
                return false;
            }
        }
        false
    }
}

enum Asked {
    Runs,
    /// For want of the dependency, or because something is wrong with this message too.
    Fails,
    StoreFails,
    /// It waits behind its key.
    IsHeld,
    WasApplied,
}

async fn ask<S: Inbox>(settings: &Arc<Settings<S>>, entry: &Arc<Entry<S>>) -> Asked {
    let (shared, entry) = (Arc::clone(settings), Arc::clone(entry));
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let Task::Handle { handler, meta } = &entry.task else {
                return (tx, End::Rollback(Asked::WasApplied));
            };
            let claim = [shared.claim_of(&entry.received)];
            let one = Run { received: &entry.received, meta, attempt: 1 };
            let asked = match shared.store.claim(&mut tx, &shared.name, &claim).await.as_deref() {
                Ok([Claim::Fresh]) => match handle(&shared, &mut tx, handler, one, &[]).await {
                    Ok(()) => Asked::Runs,
                    Err(_) => Asked::Fails,
                },
                Ok([Claim::Behind | Claim::Held]) => Asked::IsHeld,
                Ok(_) => Asked::WasApplied,
                Err(_) => Asked::StoreFails,
            };
            (tx, End::Rollback(asked))
        })
    }));
    work.await.unwrap_or(Asked::StoreFails)
}

/// The letters whose handler says that its dependency is down, and since when.
#[derive(Default)]
pub(super) struct Doubted(BTreeMap<i64, Doubt>);

struct Doubt {
    since: Instant,
    /// How many messages the consumer had applied at the last run of this letter.
    applied: u64,
}

impl Doubted {
    /// More are not remembered: they are believed.
    const MOST: usize = 1_024;

    /// Returns whether a letter has failed that says so once more: it has for long, and others were applied since its last run.
    pub(super) fn has_failed(&mut self, letter: i64, applied: u64) -> bool {
        if self.0.len() >= Self::MOST && !self.0.contains_key(&letter) {
            return false;
        }
        let doubt = self.0.entry(letter).or_insert(Doubt { since: Instant::now(), applied });
        let failed = doubt.since.elapsed() >= BELIEVED && applied > doubt.applied;
        doubt.applied = applied;
        if failed {
            self.0.remove(&letter);
        }
        failed
    }

    /// The letter said something else.
    pub(super) fn forget(&mut self, letter: i64) {
        self.0.remove(&letter);
    }
}
