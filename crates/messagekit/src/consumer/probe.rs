//! Whether a message that says its dependency is down is alone with that.
//!
//! A handler may answer "unavailable" for one message for ever: an address that exists nowhere, an account that was closed. Nothing
//! of its lane would be applied any more, and nobody would be told. So what is behind it is asked: when another message can be
//! handled, the dependency is up, and this message has failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Batch;
use super::caution::{stand_down, suspect};
use super::fault::{Run, handle};
use super::router::Task;
use super::settings::{KILLS, Settings};
use crate::store::{Claim, End, Inbox};

/// How long a message is believed that its dependency is down, while nothing else of its lane is applied.
pub(super) const BELIEVED: Duration = Duration::from_secs(10 * 60);

/// Returns whether another message of the batch can be handled now, in a transaction that keeps nothing. The first one with
/// another key is asked: one of the same key must not run before the message it is behind.
pub(super) async fn another_runs<S: Inbox>(
    settings: &Arc<Settings<S>>,
    batch: &Arc<Batch<S>>,
    doubted: usize,
    cautious: bool,
    stop: &AtomicBool,
) -> bool {
    let key = &batch.entries[doubted].received.message.key;
    let other = |index: &usize| {
        let other = &batch.entries[*index].received.message.key;
        batch.is_handled(*index) && (other.is_none() || other != key)
    };
    for index in (doubted + 1..batch.entries.len()).filter(other) {
        let suspected = &batch.entries[index].received.id;
        if cautious && !suspect(settings, suspected).await.is_ok_and(|others| others < KILLS) {
            stand_down(settings, suspected, stop).await;
            return false;
        }
        let answer = run(settings, batch, index).await;
        if cautious {
            stand_down(settings, suspected, stop).await;
        }
        match answer {
            Asked::Runs => return true,
            Asked::Fails => return false,
            Asked::NotFresh => {}
        }
    }
    false
}

enum Asked {
    Runs,
    Fails,
    /// It was applied before, or waits behind its key: nothing is learnt.
    NotFresh,
}

async fn run<S: Inbox>(settings: &Arc<Settings<S>>, batch: &Arc<Batch<S>>, index: usize) -> Asked {
    let (shared, messages) = (Arc::clone(settings), Arc::clone(batch));
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let entry = &messages.entries[index];
            let Task::Handle { handler, meta } = &entry.task else {
                return (tx, End::Rollback(Asked::NotFresh));
            };
            let claim = [shared.claim_of(&entry.received)];
            let one = Run { received: &entry.received, meta, attempt: 1 };
            let asked = match shared.store.claim(&mut tx, &shared.name, &claim).await.as_deref() {
                Ok([Claim::Fresh]) => match handle(&shared, &mut tx, handler, one, &[]).await {
                    Ok(()) => Asked::Runs,
                    Err(_) => Asked::Fails,
                },
                Ok(_) => Asked::NotFresh,
                Err(_) => Asked::Fails,
            };
            (tx, End::Rollback(asked))
        })
    }));
    work.await.unwrap_or(Asked::Fails)
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
