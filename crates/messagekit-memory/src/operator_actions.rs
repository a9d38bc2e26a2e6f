//! Operators' actions on in-memory failed messages.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    Action, ActionOrder, ActionPlan, ActionResult, ActionTarget, ChosenMessages, FailedMessage,
    FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageState, FailedMessageTotal,
    FailedMessageVersion, FailedMessages, Operator, SelectionBatch, no_failed_message,
};
use messagekit::{Claim, Error};

use super::audit::AuditEntry;
use super::clock::later;
use super::locks::{failed_message_held, key_held};
use super::marker::Marker;
use super::stored_message::StoredMessage;
use super::tables::Tables;
use super::{Failpoint, MemoryStore};

fn is_meant(failed_message: &FailedMessageHead, filter: &FailedMessageFilter) -> bool {
    filter.consumer.as_ref().is_none_or(|consumer| *consumer == failed_message.consumer)
        && filter.has_state(failed_message.state)
        && filter.origin.is_none_or(|origin| origin == failed_message.origin)
        && filter.event_type.as_ref().is_none_or(|wanted| failed_message.event_type.as_ref() == Some(wanted))
        && filter.kind.as_ref().is_none_or(|kind| *kind == failed_message.kind)
        && filter.fingerprint.as_ref().is_none_or(|fingerprint| *fingerprint == failed_message.fingerprint)
        && filter.key.as_deref().is_none_or(|key| failed_message.key.as_deref() == Some(key))
        && filter.since.is_none_or(|since| since <= failed_message.set_aside_at)
        && filter.until.is_none_or(|until| failed_message.set_aside_at < until)
        && filter.before.is_none_or(|before| failed_message.id < before)
        && filter.after.is_none_or(|after| after < failed_message.id)
}

impl Tables {
    /// Returns the failed messages of a filter, smallest number first.
    fn meant(&self, filter: &FailedMessageFilter) -> impl DoubleEndedIterator<Item = &FailedMessageHead> {
        self.failed_messages
            .values()
            .map(StoredMessage::head)
            .filter(|failed_message| is_meant(failed_message, filter))
    }

    /// Returns the failed messages of a batch that are as they were when they were counted.
    fn unchanged(&self, batch: SelectionBatch<'_>) -> BTreeSet<i64> {
        let same = |version: &&FailedMessageVersion| {
            let now = self.failed_messages.get(&version.id);
            now.is_some_and(|now| is_meant(now.head(), batch.filter) && now.version() == **version)
        };
        batch.versions.iter().filter(same).map(|version| version.id).collect()
    }

    /// Returns the failed messages of an action as it finds them.
    fn targets(&self, order: &ActionOrder<'_>, now: Timestamp) -> Vec<ActionTarget> {
        let ids = match order.messages {
            ChosenMessages::Ids(ids) => ids.iter().copied().collect(),
            ChosenMessages::Batch(batch) => self.unchanged(batch),
        };
        let found = ids.iter().filter_map(|id| self.failed_messages.get(id));
        let marker = |stored: &StoredMessage| Some(self.markers.get(&stored.marker_key())?.claim);
        found.map(|stored| stored.target(marker(stored), now)).collect()
    }

    /// Moves a failed message that the plan of an action has accepted. A retry is due at `due`, or as planned before that.
    fn act(&mut self, action: Action, id: i64, now: Timestamp, due: Timestamp) {
        let Some(stored) = self.failed_messages.get_mut(&id) else { return };
        let planned = stored.standing().due;
        stored.act(action, now).expect("the plan has accepted it");
        let (key, claim) = (stored.marker_key(), Claim::from(stored.standing().state.marker()));
        match action {
            Action::Retry => stored.postpone(planned.map_or(due, |planned| planned.min(due))),
            Action::Discard => self.left_its_key(id, now),
            Action::Undo => self.came_back(id, now),
        }
        // Recreate a removed marker: otherwise a late copy would be applied despite the action.
        let marker = self.markers.entry(key).or_insert(Marker::new(claim, 0));
        (marker.claim, marker.processed_at) = (claim, now);
    }

    /// Rejects an action if another transaction holds one of the failed messages.
    fn check_acts(&self, ids: &[i64]) -> Result<(), Error> {
        if let Some(held) = ids.iter().find(|id| self.locks.holds_failed_message(**id)) {
            return Err(failed_message_held(*held));
        }
        let keys = ids.iter().filter_map(|id| self.failed_messages.get(id)?.blocked_key());
        match keys.into_iter().find(|key| self.locks.holds_key(key)) {
            Some(held) => Err(key_held(&held)),
            None => Ok(()),
        }
    }
}

impl MemoryStore {
    /// Every action goes through here, with the time under the lock: of two retries at once, the second one finds what the first made due.
    fn apply_in(&self, tables: &mut Tables, order: &ActionOrder<'_>) -> Result<Vec<ActionResult>, Error> {
        let now = self.database.clock.now();
        order.operator.check()?;
        let ids = order.messages.ids();
        tables.check_acts(&ids)?;
        let ActionPlan { results, moves } = ActionPlan::new(order, tables.targets(order, now));
        for (id, delay) in &moves {
            tables.act(order.action, *id, now, later(now, *delay));
        }
        let done = moves.len() as u64;
        let entry = AuditEntry::new(now, order.operator, order.action.as_str(), &ids, done);
        tables.audit.push(entry);
        Ok(results)
    }

    /// Runs an operator's query or action, unless a test injected a failure.
    fn operate<R>(&self, act: impl FnOnce(&mut Tables) -> Result<R, Error>) -> Result<R, Error> {
        self.tables(|tables| {
            tables.pass(Failpoint::Operations)?;
            act(tables)
        })
    }
}

impl FailedMessages for MemoryStore {
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>> {
        Box::pin(async move {
            self.operate(|tables| {
                Ok(tables.meant(filter).rev().take(limit as usize).map(|head| tables.shown(head)).collect())
            })
        })
    }

    fn versions<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageVersion>, Error>> {
        Box::pin(async move {
            self.operate(|tables| {
                let meant = tables.failed_messages.values().filter(|stored| is_meant(stored.head(), filter));
                Ok(meant.take(limit as usize).map(StoredMessage::version).collect())
            })
        })
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<FailedMessage, Error>> {
        Box::pin(async move {
            self.operate(|tables| {
                let failed_message =
                    tables.failed_messages.get(&id).ok_or_else(|| no_failed_message(id))?.failed_message();
                Ok(FailedMessage {
                    head: tables.shown(&failed_message.head),
                    received: failed_message.received.clone(),
                    failed_runs: failed_message.failed_runs.clone(),
                })
            })
        })
    }

    fn totals<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageTotal>, Error>> {
        Box::pin(async move {
            self.operate(|tables| {
                let mut totals: BTreeMap<_, FailedMessageTotal> = BTreeMap::new();
                for failed_message in tables.meant(filter) {
                    let (consumer, state) = (failed_message.consumer.clone(), failed_message.state);
                    let total = totals.entry((consumer.clone(), state));
                    total
                        .or_insert(FailedMessageTotal { consumer, state, failed_messages: 0 })
                        .failed_messages += 1;
                }
                Ok(totals.into_values().collect())
            })
        })
    }

    fn groups<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageGroup>, Error>> {
        Box::pin(async move {
            self.operate(|tables| {
                let mut groups: BTreeMap<_, FailedMessageGroup> = BTreeMap::new();
                for failed_message in tables.meant(filter) {
                    let alike = (
                        &failed_message.fingerprint,
                        &failed_message.consumer,
                        &failed_message.event_type,
                        &failed_message.kind,
                    );
                    let group = groups.entry(alike).or_insert_with(|| FailedMessageGroup {
                        fingerprint: failed_message.fingerprint.clone(),
                        consumer: failed_message.consumer.clone(),
                        event_type: failed_message.event_type.clone(),
                        kind: failed_message.kind.clone(),
                        error: String::new(),
                        failed_messages: 0,
                        first: failed_message.set_aside_at,
                        last: failed_message.set_aside_at,
                        newest: failed_message.id,
                    });
                    group.failed_messages += 1;
                    group.first = group.first.min(failed_message.set_aside_at);
                    group.last = group.last.max(failed_message.set_aside_at);
                    // Numbers ascend: the last one is the newest.
                    (group.error, group.newest) = (failed_message.error.clone(), failed_message.id);
                }
                let mut groups: Vec<FailedMessageGroup> = groups.into_values().collect();
                groups.sort_by_key(|group| std::cmp::Reverse((group.failed_messages, group.newest)));
                groups.truncate(limit as usize);
                Ok(groups)
            })
        })
    }

    fn apply<'a>(&'a self, order: ActionOrder<'a>) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        Box::pin(async move { self.operate(|tables| self.apply_in(tables, &order)) })
    }

    fn act_on<'a>(
        &'a self,
        action: Action,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<FailedMessageState, Error>> {
        Box::pin(async move {
            let ids = [id];
            let order = ActionOrder::new(action, &ids, operator);
            self.operate(|tables| {
                self.apply_in(tables, &order)?.into_iter().try_for_each(|result| result.done(action, id))?;
                let stored = tables.failed_messages.get(&id).ok_or_else(|| no_failed_message(id))?;
                Ok(stored.head().state)
            })
        })
    }
}
