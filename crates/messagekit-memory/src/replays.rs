//! Replays of an in-memory store.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    ConsumerEvents, EventCursor, EventFilter, EventHead, Operator, ReplayCount, ReplayIds, ReplayJob,
    ReplayLease, ReplayOrder, ReplayState, Replays, StoredEvent, no_replay, other_count, out_of_range,
    replay_ended,
};
use messagekit::{Error, Message, MessageId, headers};

use super::MemoryStore;
use super::audit::AuditEntry;
use super::replay::Replay;
use super::tables::Tables;

pub(super) fn head_of(event: &StoredEvent) -> EventHead {
    let message = &event.message;
    EventHead {
        event_id: event.event_id.clone(),
        event_type: message.headers.text(headers::EVENT_TYPE).map(str::to_owned),
        topic: message.topic.clone(),
        key: message.key.clone(),
        copies: event.copies,
        created_at: event.created_at,
        payload_bytes: message.payload.len() as u64,
    }
}

fn is_meant(event: &StoredEvent, filter: &EventFilter) -> bool {
    let event_type = event.message.headers.text(headers::EVENT_TYPE);
    filter.event_type.as_deref().is_none_or(|wanted| event_type == Some(wanted))
        && filter.topic.as_deref().is_none_or(|topic| *event.message.topic == *topic)
        && filter.key.as_ref().is_none_or(|key| event.message.key.as_deref() == Some(key.as_bytes()))
        && filter.from.is_none_or(|from| from <= event.created_at)
        && filter.to.is_none_or(|to| event.created_at <= to)
}

fn position(event: &StoredEvent) -> (Timestamp, &MessageId) {
    (event.created_at, &event.event_id)
}

impl Tables {
    /// Returns the events of a filter, oldest first.
    fn events_of(&self, filter: &EventFilter) -> Vec<&StoredEvent> {
        let mut events: Vec<_> = self.events.iter().filter(|event| is_meant(event, filter)).collect();
        events.sort_by_key(|event| position(event));
        events
    }

    fn count(&self, filter: &EventFilter, now: Timestamp) -> Result<ReplayCount, Error> {
        let oldest = self.events.iter().map(|event| event.created_at).min();
        if let (Some(from), Some(oldest)) = (filter.from, oldest)
            && from < oldest
        {
            return Err(out_of_range(oldest));
        }
        let events = self.events_of(filter);
        let mut consumers: Vec<&String> = self.markers.keys().map(|(consumer, _)| consumer).collect();
        consumers.dedup();
        let skipped_by = consumers.into_iter().map(|consumer| {
            let has_marker = |event: &&&StoredEvent| {
                self.markers.contains_key(&(consumer.clone(), event.event_id.clone()))
            };
            let events = events.iter().filter(has_marker).count() as u64;
            ConsumerEvents { consumer: consumer.clone(), events }
        });
        let skipped_by = skipped_by.filter(|skipped| skipped.events > 0).collect();
        let too_old = |consumer: &String, window: Duration| {
            let complete_since = self.complete_since.get(consumer);
            let is_outside = |event: &&&StoredEvent| {
                Duration::try_from(now.duration_since(event.created_at)).is_ok_and(|age| age > window)
                    || complete_since.is_some_and(|since| event.created_at < *since)
            };
            events.iter().filter(is_outside).count() as u64
        };
        let too_old_for = self.windows.iter().map(|(consumer, window)| ConsumerEvents {
            consumer: consumer.clone(),
            events: too_old(consumer, *window),
        });
        let too_old_for = too_old_for.filter(|old| old.events > 0).collect();
        Ok(ReplayCount { events: events.len() as u64, skipped_by, too_old_for })
    }

    fn replay(&mut self, id: i64) -> Option<&mut Replay> {
        self.replays.iter_mut().find(|replay| replay.job.id == id)
    }
}

impl Replays for MemoryStore {
    fn events<'a>(
        &'a self,
        filter: &'a EventFilter,
        after: Option<&'a EventCursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<EventHead>, Error>> {
        Box::pin(async move {
            Ok(self.tables(|tables| {
                let behind = |event: &&StoredEvent| {
                    after.is_none_or(|after| position(event) > (after.created_at, &after.event_id))
                };
                tables
                    .events_of(filter)
                    .into_iter()
                    .filter(behind)
                    .take(limit as usize)
                    .map(head_of)
                    .collect()
            }))
        })
    }

    fn replay_count<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<ReplayCount, Error>> {
        Box::pin(async move { self.tables(|tables| tables.count(filter, self.database.clock.now())) })
    }

    fn order_replay<'a>(
        &'a self,
        order: &'a ReplayOrder,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<ReplayJob, Error>> {
        let now = self.database.clock.now();
        Box::pin(async move {
            by.check()?;
            self.tables(|tables| {
                tables.count(&order.filter, now)?;
                let events = tables.events_of(&order.filter);
                let chosen = events.len() as u64;
                if order.count.is_some_and(|count| count != chosen) {
                    return Err(other_count(chosen));
                }
                let list: VecDeque<_> = events.into_iter().map(|event| event.event_id.clone()).collect();
                let job = ReplayJob {
                    id: tables.replays.len() as i64 + 1,
                    order: ReplayOrder { count: None, ..order.clone() },
                    state: if list.is_empty() { ReplayState::Done } else { ReplayState::Running },
                    events: list.len() as u64,
                    published: 0,
                    ordered_by: by.name.clone(),
                    ordered_at: now,
                    changed_at: now,
                    error: None,
                };
                tables.audit.push(AuditEntry::new(now, by, "replay", &[job.id], 1));
                tables.replays.push(Replay { job: job.clone(), list, epoch: 0, leased_until: None });
                Ok(job)
            })
        })
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<ReplayJob, Error>> {
        Box::pin(async move {
            self.tables(|tables| {
                tables.replay(id).map(|replay| replay.job.clone()).ok_or_else(|| no_replay(id))
            })
        })
    }

    fn replays(&self, before: Option<i64>, limit: u32) -> BoxFuture<'_, Result<Vec<ReplayJob>, Error>> {
        Box::pin(async move {
            Ok(self.tables(|tables| {
                let newest_first = tables.replays.iter().rev().map(|replay| &replay.job);
                let page = newest_first.filter(|job| before.is_none_or(|before| job.id < before));
                page.take(limit as usize).cloned().collect()
            }))
        })
    }

    fn cancel_replay<'a>(&'a self, id: i64, by: &'a Operator) -> BoxFuture<'a, Result<(), Error>> {
        let now = self.database.clock.now();
        Box::pin(async move {
            by.check()?;
            self.tables(|tables| {
                let replay = tables.replay(id).ok_or_else(|| no_replay(id))?;
                let state = replay.job.state;
                let runs = state == ReplayState::Running;
                if runs {
                    (replay.job.state, replay.job.changed_at) = (ReplayState::Cancelled, now);
                }
                tables.audit.push(AuditEntry::new(now, by, "cancel-replay", &[id], u64::from(runs)));
                if runs {
                    return Ok(());
                }
                Err(replay_ended(id, state))
            })
        })
    }

    fn lease_replay(
        &self,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Option<(ReplayLease, ReplayJob)>, Error>> {
        let (now, until) = (self.database.clock.now(), self.database.clock.after(lease));
        Box::pin(async move {
            Ok(self.tables(|tables| {
                let replay = tables.replays.iter_mut().find(|replay| replay.is_free(now))?;
                replay.epoch += 1;
                replay.leased_until = Some(until);
                Some((ReplayLease { job: replay.job.id, epoch: replay.epoch }, replay.job.clone()))
            }))
        })
    }

    fn replay_step<'a>(
        &'a self,
        lease: ReplayLease,
        max: u32,
        extend: Duration,
        renamed: &'a (dyn Fn(&StoredEvent) -> Result<(MessageId, Message), Error> + Send + Sync),
    ) -> BoxFuture<'a, Result<Option<ReplayJob>, Error>> {
        let (now, until) = (self.database.clock.now(), self.database.clock.after(extend));
        Box::pin(async move {
            Ok(self.tables(|tables| {
                let Tables { replays, events, links, .. } = tables;
                let replay = replays.iter_mut().find(|replay| replay.is_leased_as(lease))?;
                let n = replay.list.len().min(max as usize);
                let mut out = Vec::with_capacity(n);
                let mut new = Vec::new();
                for id in replay.list.iter().take(n) {
                    let Some(event) = events.iter().find(|event| event.event_id == *id) else { continue };
                    match replay.job.order.ids {
                        ReplayIds::Same => out.push(event.message.clone()),
                        ReplayIds::New => match renamed(event) {
                            Ok((_, mut message)) => {
                                let links = links.get(id).cloned().unwrap_or_default();
                                links.of_republication(id).add_to(&mut message.headers);
                                new.push(message);
                            }
                            Err(error) => {
                                replay.job.state = ReplayState::Failed;
                                replay.job.error = Some(messagekit::chain(&error));
                                replay.job.changed_at = now;
                                return Some(replay.job.clone());
                            }
                        },
                    }
                }
                let sent: Vec<MessageId> = replay.list.drain(..n).collect();
                if replay.job.order.ids == ReplayIds::Same {
                    let again = events.iter_mut().filter(|event| sent.contains(&event.event_id));
                    again.for_each(|event| event.copies += 1);
                }
                replay.job.published += n as u64;
                replay.job.changed_at = now;
                replay.leased_until = Some(until);
                if replay.list.is_empty() {
                    replay.job.state = ReplayState::Done;
                }
                let job = replay.job.clone();
                for message in new {
                    let event = tables.stored_event(message, now);
                    out.push(event.message.clone());
                    tables.events.push(event);
                }
                tables.publish(&out, self.database.log.as_ref());
                Some(job)
            }))
        })
    }
}
