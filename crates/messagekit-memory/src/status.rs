//! The state of an in-memory database at a glance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::{BoxFuture, Priming};
use messagekit::log::Bounds;
use messagekit::operations::{
    COUNT_LIMIT, ConsumerPosition, ConsumerStatus, DatabaseStatus, FailedMessageHead, FailedMessageState,
    OutboxStatus, PublisherMode, PublisherState, ReplayState, StateCount, beyond_ids_of,
};

use super::stored_message::StoredMessage;
use super::tables::Tables;
use super::writes::OffsetKey;
use super::{MemoryLog, MemoryStore};

/// The bounds of the partitions of topics.
type LogBounds = BTreeMap<Arc<str>, Vec<Bounds>>;

fn capped(count: usize) -> u64 {
    count.min(COUNT_LIMIT as usize) as u64
}

impl Tables {
    /// Returns the positions in the topics of a broker, and those of record claims in the store's own log, whose ends are known.
    fn positions_of(&self, consumer: &str, bounds: &LogBounds) -> Vec<ConsumerPosition> {
        let mut positions = BTreeMap::new();
        let is_live = |(owner, .., key_lane): &OffsetKey| owner == consumer && !Priming::owns(*key_lane);
        for ((_, topic, partition, _), next) in self.offsets.iter().filter(|(key, _)| is_live(key)) {
            let lowest = positions.entry((topic.clone(), *partition)).or_insert((*next, None));
            lowest.0 = lowest.0.min(*next);
        }
        for ((_, topic, partition), window) in self.claims.iter().filter(|((owner, ..), _)| owner == consumer)
        {
            let known =
                bounds.get(topic).and_then(|bounds| bounds.iter().find(|of| of.partition == *partition));
            let mut kept = window.clone();
            let behind = known.map(|known| {
                kept.pass_deleted(known.earliest);
                kept.unsettled(known.end)
            });
            positions.insert((topic.clone(), *partition), (kept.next(), behind));
        }
        let position =
            |((topic, partition), (next, behind))| ConsumerPosition { topic, partition, next, behind };
        positions.into_iter().map(position).collect()
    }

    fn status_of(&self, consumer: &str, now: Timestamp, bounds: &LogBounds) -> ConsumerStatus {
        let own = |head: &&FailedMessageHead| head.consumer == consumer;
        let failed: Vec<&FailedMessageHead> =
            self.failed_messages.values().map(StoredMessage::head).filter(own).collect();
        let states = FailedMessageState::ALL.into_iter().filter_map(|state| {
            let count = failed.iter().filter(|head| head.state == state).count();
            (count > 0).then(|| StateCount { state, failed_messages: capped(count) })
        });
        let markers = self.markers.iter().filter(|((owner, _), _)| owner == consumer);
        let bound = beyond_ids_of(now);
        let newest = |upto: &dyn Fn(&str) -> bool| {
            let markers = markers.clone().filter(|((_, id), _)| upto(&id.to_string()));
            markers.max_by_key(|((_, id), _)| id.clone()).map(|(_, marker)| marker.processed_at)
        };
        let newest_marker_at = newest(&|_| true).max(newest(&|id| id < &*bound));
        let is_due = |head: &&&FailedMessageHead| head.due.is_some_and(|due| due <= now);
        ConsumerStatus {
            consumer: consumer.to_owned(),
            newest_marker_at,
            last_activity_at: newest_marker_at.max(self.noted.get(consumer).copied()),
            dedup_window: self.windows.get(consumer).copied().filter(|window| *window < Duration::MAX),
            positions: self.positions_of(consumer, bounds),
            blocked_keys: capped(self.queues.keys().filter(|key| key.consumer == consumer).count()),
            retries_due: capped(failed.iter().filter(is_due).count()),
            oldest_failed_at: failed
                .iter()
                .filter(|head| head.state.is_open())
                .map(|head| head.set_aside_at)
                .min(),
            failed_messages: states.collect(),
            unhandled: self.unhandled_of(consumer, now),
        }
    }
}

impl DatabaseStatus for MemoryStore {
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>> {
        Box::pin(async move {
            Ok(self.tables(|tables| {
                let running = tables.replays.iter().filter(|replay| replay.job.state == ReplayState::Running);
                let mut lag = tables.lag.clone().unwrap_or_default();
                lag.pending = lag.pending.min(COUNT_LIMIT.into());
                OutboxStatus {
                    publisher: PublisherState {
                        mode: Some(PublisherMode::Local),
                        has_relay: None,
                        confirmed_at: None,
                    },
                    lag,
                    delayed: 0,
                    rejected: 0,
                    running_replays: capped(running.count()),
                }
            }))
        })
    }

    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>> {
        let now = self.database.clock.now();
        let bounds = self.database.log.as_ref().map(MemoryLog::all_bounds).unwrap_or_default();
        Box::pin(async move {
            Ok(self.tables(|tables| {
                let names: BTreeSet<String> = tables
                    .markers
                    .keys()
                    .map(|(consumer, _)| consumer)
                    .chain(tables.windows.keys())
                    .chain(tables.offsets.keys().map(|(consumer, ..)| consumer))
                    .chain(tables.claims.keys().map(|(consumer, ..)| consumer))
                    .chain(tables.failed_messages.values().map(|failed| &failed.head().consumer))
                    .cloned()
                    .collect();
                names.iter().take(500).map(|name| tables.status_of(name, now, &bounds)).collect()
            }))
        })
    }
    fn last_seen<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<Option<Duration>, Error>> {
        Box::pin(async move {
            let now = self.database.clock.now();
            let noted = self.tables(|tables| tables.noted.get(consumer).copied());
            Ok(noted.map(|noted| Duration::try_from(now.duration_since(noted)).unwrap_or_default()))
        })
    }
}
