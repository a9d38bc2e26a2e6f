//! Cleanup of an in-memory store.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupStep, CleanupTarget, MARGIN};
use messagekit::operations::FailedMessageState;
use messagekit::{Claim, Error, MessageId};

use super::MemoryStore;
use super::clock::later;
use super::marker::Marker;
use super::stored_message::StoredMessage;
use super::tables::Tables;

impl Tables {
    /// Removes markers older than their consumer's dedup window, and records since when the remaining ones are
    /// complete.
    fn clean_markers(&mut self, now: Timestamp, is_trial: bool) -> u64 {
        let failed_messages: BTreeSet<(String, MessageId)> =
            self.failed_messages.values().map(StoredMessage::marker_key).collect();
        let is_old = |key: &(String, MessageId), marker: &Marker| {
            let kept = self.windows.get(&key.0).and_then(|window| window.checked_add(MARGIN));
            kept.and_then(|kept| now.checked_sub(kept).ok())
                .is_some_and(|before| marker.processed_at < before)
        };
        let may_go = |key: &(String, MessageId), marker: &Marker| match marker.claim {
            Claim::Done => is_old(key, marker),
            Claim::Discarded => is_old(key, marker) && !failed_messages.contains(key),
            _ => false,
        };
        let old = self.markers.iter().filter(|(key, marker)| may_go(key, marker));
        let old: Vec<_> = old.map(|(key, marker)| (key.clone(), marker.processed_at)).collect();
        if !is_trial {
            for (key, processed_at) in &old {
                self.markers.remove(key);
                let since = later(*processed_at, MARGIN);
                let known = self.complete_since.entry(key.0.clone()).or_insert(since);
                *known = since.max(*known);
            }
        }
        old.len() as u64
    }

    /// Removes failed messages that were settled longer ago than their retention.
    fn clean_failed_messages(&mut self, now: Timestamp, kept: Duration, is_trial: bool) -> u64 {
        let Ok(before) = now.checked_sub(kept) else { return 0 };
        let settled = [FailedMessageState::Resolved, FailedMessageState::Discarded];
        let failed_messages = self.failed_messages.iter().filter(|(number, failed_message)| {
            settled.contains(&failed_message.head().state)
                && failed_message.head().changed_at < before
                && !self.locks.holds_failed_message(**number)
        });
        let old: Vec<i64> = failed_messages.map(|(number, _)| *number).collect();
        if !is_trial {
            old.iter().for_each(|number| drop(self.failed_messages.remove(number)));
        }
        old.len() as u64
    }
}

/// Cleans each kind in one step. Events stay for replays.
impl Cleanup for MemoryStore {
    fn remove_step<'a>(&'a self, request: CleanupRequest<'a>) -> BoxFuture<'a, Result<CleanupStep, Error>> {
        let CleanupRequest { what, retention, is_trial, .. } = request;
        Box::pin(async move {
            let now = self.database.clock.now();
            let kept_because =
                (what == CleanupTarget::Events).then(|| "events in memory stay with their store".to_owned());
            let removed = self.tables(|tables| match what {
                CleanupTarget::Events => 0,
                CleanupTarget::FailedMessages => {
                    tables.clean_failed_messages(now, retention.failed_messages, is_trial)
                }
                CleanupTarget::Markers => tables.clean_markers(now, is_trial),
            });
            Ok(CleanupStep { removed, days: 0, next: None, kept_because })
        })
    }
}
