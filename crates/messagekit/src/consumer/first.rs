//! The first messages of a lane after an assignment, noted so that a death among them leaves a trace.

use std::sync::Arc;

use super::caution::suspect;
use super::settings::Settings;
use crate::store::{End, Inbox};
use crate::{Error, MessageId, chain};

/// Where all that there is comes in one lane, its partitions take turns, 64 messages of each: what a process had in hand lies
/// among the first of all of them.
const OF_ALL: u32 = 1_024;

/// How the first messages are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// Like any other, in batches that are noted as a whole: nobody is known to have died of them.
    Noted,
    /// One at a time, each under a note of its own: somebody noted a batch and has not answered.
    OneByOne,
    /// They are finished, and this process lives.
    Over,
}

/// What is known of the first messages. Whatever the process before this one had not committed is fresh now, so what it may have
/// died of is among the first fresh messages, as many as a batch may hold.
#[derive(Clone, Debug)]
pub(super) struct First {
    /// What they are noted as, in every process.
    id: MessageId,
    care: Care,
    /// How many there are at most.
    most: u32,
    /// How many of them are left.
    left: u32,
}

impl First {
    /// `lane` is the name that its source gives it, and a batch holds `most` messages.
    pub(super) fn new(lane: &str, most: u32) -> Self {
        let most = if lane.is_empty() { most.max(OF_ALL) } else { most };
        Self { id: MessageId::of_first(lane), care: Care::Noted, most, left: most }
    }

    /// Returns whether they run in batches that are noted as a whole.
    pub(super) fn is_noted(&self) -> bool {
        self.care == Care::Noted
    }

    /// Returns whether they run one at a time, while nothing else runs.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.care == Care::OneByOne
    }

    /// Somebody else has noted them and not answered: of a queue, what that one had in hand comes here behind what was finished.
    pub(super) fn take_care(&mut self) {
        self.care = Care::OneByOne;
        self.left = self.most;
    }

    /// Returns how many are left.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// So many of them are finished, and this process lives.
    pub(super) fn finished(&mut self, messages: u32) {
        self.left = self.left.saturating_sub(messages);
        if self.left == 0 {
            self.care = Care::Over;
        }
    }

    /// What a process died of is delivered again at once, so there are no more of them. Who has noted them is forgotten by the
    /// next turn.
    pub(super) fn none_left(&mut self) {
        self.left = 0;
        if self.care == Care::Noted {
            self.care = Care::Over;
        }
    }

    /// Who has noted them is forgotten.
    pub(super) fn end(&mut self) {
        self.care = Care::Over;
    }

    /// Notes a batch of them. Returns whether somebody else has, and not answered.
    pub(super) async fn note<S: Inbox>(&self, settings: &Settings<S>) -> Result<bool, Error> {
        Ok(suspect(settings, &self.id).await? > 0)
    }

    /// Takes the note of a batch back: this process lives. Returns whether it is gone; the next turn takes it back otherwise, so
    /// that an outage is told and waited for like any other.
    pub(super) async fn take_back<S: Inbox>(&self, settings: &Settings<S>) -> bool {
        let (consumer, suspect) = (&*settings.name, &self.id);
        let taken = settings.store.withdraw_attempt(consumer, suspect, &settings.run).await;
        if let Err(error) = &taken {
            tracing::debug!(consumer, %suspect, error = %chain(error), "note of a batch stays for now");
        }
        taken.is_ok()
    }

    /// Forgets who has noted them: they are finished. A note that stays makes the next start a slow one.
    pub(super) async fn forget<S: Inbox>(&self, settings: &Arc<Settings<S>>) {
        let (shared, id) = (Arc::clone(settings), self.id.clone());
        let forgets = settings.store.transact(Box::new(move |mut tx| {
            Box::pin(async move {
                let end = match shared.store.clear_attempts(&mut tx, &shared.name, &id).await {
                    Ok(()) => End::Commit(Ok(())),
                    Err(error) => End::Rollback(Err(error)),
                };
                (tx, end)
            })
        }));
        if let Err(error) = forgets.await.unwrap_or_else(|error| Err(error.error().clone())) {
            let suspect = &self.id;
            tracing::debug!(consumer = &*settings.name, %suspect, error = %chain(&error), "notes of a suspect stay");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_of_all_partitions_has_the_first_messages_of_each() {
        assert_eq!(First::new("orders/3", 200).left(), 200);
        assert_eq!(First::new("", 200).left(), OF_ALL);
        assert_eq!(First::new("", 5_000).left(), 5_000);
    }

    #[test]
    fn care_that_is_asked_for_late_is_for_as_many_as_at_a_start() {
        let mut first = First::new("orders/3", 200);
        first.finished(195);
        first.take_care();
        assert!(first.is_one_by_one() && first.left() == 200);
        first.none_left();
        assert!(first.is_one_by_one(), "who has noted them is to be forgotten first");
        first.end();
        assert!(!first.is_one_by_one() && !first.is_noted());
    }
}
