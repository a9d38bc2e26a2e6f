//! Whether a message that says its dependency is down is alone with that.
//!
//! A handler may answer "unavailable" for one message for ever: an address that exists nowhere, an account that was closed.
//! Nothing of its lane would be applied any more, and nobody would be told. So what is behind it is asked: when another message
//! can be handled, the dependency is up, and this message has failed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::batch::{Batch, Entry};
use super::caution::{stand_down, suspect};
use super::fault::{Run, handle};
use super::router::Task;
use super::settings::{KILLS, Settings};
use crate::store::{Claim, End, Inbox, Store};

/// How long a message is believed that its dependency is down, while nothing else of its lane is applied.
pub(super) const BELIEVED: Duration = Duration::from_secs(10 * 60);

/// How many others may say no before the question ends for this turn.
const ASKED: usize = 3;

/// The first message of a lane is not believed any more; who else is asked.
pub(super) struct Doubtful<S: Store> {
    /// What waits behind the batch, in order.
    pub(super) waiting: Vec<Arc<Entry<S>>>,
    /// How many turns have asked in vain: this one goes on behind those whom they asked.
    pub(super) in_vain: usize,
}

impl<S: Inbox> Doubtful<S> {
    /// Returns whether another message can be handled now, in a transaction that keeps nothing: of each other key the first one
    /// that was not applied before.
    pub(super) async fn another_runs(
        &self,
        settings: &Arc<Settings<S>>,
        batch: &Batch<S>,
        cautious: bool,
        stop: &AtomicBool,
    ) -> bool {
        let keys = self.keys(settings, batch);
        let first = self.in_vain * ASKED % keys.len().max(1);
        let mut said_no = 0;
        for of_key in keys.iter().cycle().skip(first).take(keys.len()) {
            // What is behind a message must not run before it.
            for entry in of_key {
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
                    Asked::StoreFails => return false,
                    Asked::WasApplied => continue,
                    Asked::Fails => said_no += 1,
                    Asked::IsHeld => {}
                }
                break;
            }
            if said_no == ASKED || stop.load(Ordering::Relaxed) {
                return false;
            }
        }
        false
    }

    /// Returns the messages of each other key that has nothing in front that is set aside, and each one without a key.
    fn keys<'a>(&'a self, settings: &Settings<S>, batch: &'a Batch<S>) -> Vec<Vec<&'a Arc<Entry<S>>>> {
        let now = Timestamp::now();
        let in_batch =
            batch.entries.iter().enumerate().map(|(index, entry)| (entry, batch.is_handled(index)));
        let waiting = self.waiting.iter().map(|entry| (entry, matches!(entry.task, Task::Handle { .. })));
        let (mut keys, mut places, mut behind) = (Vec::new(), HashMap::new(), HashSet::new());
        for (index, (entry, is_handled)) in in_batch.chain(waiting).enumerate() {
            let message = &entry.received.message;
            let key = message.key.as_ref();
            if key.is_some_and(|key| behind.contains(key)) || matches!(entry.task, Task::Ignore) {
                continue;
            }
            if index == 0 || !is_handled || settings.window.outside(message, now).is_some() {
                behind.extend(key);
                continue;
            }
            let place = *key.map_or(&mut keys.len(), |key| places.entry(key).or_insert(keys.len()));
            if place == keys.len() {
                keys.push(Vec::new());
            }
            keys[place].push(entry);
        }
        keys
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
                Ok([Claim::KeyBlocked | Claim::Held]) => Asked::IsHeld,
                Ok(_) => Asked::WasApplied,
                Err(_) => Asked::StoreFails,
            };
            (tx, End::Rollback(asked))
        })
    }));
    match settings.unless_cut_off(work).await {
        Some(Ok(asked)) => asked,
        Some(Err(_)) | None => Asked::StoreFails,
    }
}

/// The failed messages whose handler says that its dependency is down, and since when.
#[derive(Default)]
pub(super) struct Doubted(BTreeMap<i64, Doubt>);

struct Doubt {
    since: Instant,
    /// When it was last said.
    said: Instant,
    /// How many messages the consumer had applied at the last run of this failed message.
    applied: u64,
}

/// A failed message that has not said so for longer has run elsewhere meanwhile, or is closed.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

impl Doubted {
    /// More are not remembered: they are believed until one of these has failed or is forgotten.
    const MOST: usize = 1_024;

    /// Returns whether a failed message has failed that says so once more: it has for long, and others were applied since its
    /// last run.
    pub(super) fn has_failed(&mut self, failed_message: i64, applied: u64) -> bool {
        let now = Instant::now();
        self.0.retain(|_, doubt| now - doubt.said < STALE);
        if self.0.len() >= Self::MOST && !self.0.contains_key(&failed_message) {
            return false;
        }
        let doubt = self.0.entry(failed_message).or_insert(Doubt { since: now, said: now, applied });
        let failed = now - doubt.since >= BELIEVED && applied > doubt.applied;
        (doubt.said, doubt.applied) = (now, applied);
        if failed {
            self.0.remove(&failed_message);
        }
        failed
    }

    /// The failed message said something else.
    pub(super) fn forget(&mut self, failed_message: i64) {
        self.0.remove(&failed_message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_message_that_others_have_seen_to_is_believed_from_the_beginning_again() {
        let mut doubted = Doubted::default();
        assert!(!doubted.has_failed(1, 0));
        tokio::time::advance(STALE).await;
        assert!(!doubted.has_failed(1, 5));
        tokio::time::advance(BELIEVED).await;
        assert!(doubted.has_failed(1, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn failed_messages_that_are_gone_keep_no_place() {
        let mut doubted = Doubted::default();
        for failed_message in 0..2_000 {
            assert!(!doubted.has_failed(failed_message, 0));
        }
        tokio::time::advance(STALE).await;
        assert!(!doubted.has_failed(1_999, 0));
        tokio::time::advance(BELIEVED).await;
        assert!(doubted.has_failed(1_999, 1), "there was a place for it");
    }
}
