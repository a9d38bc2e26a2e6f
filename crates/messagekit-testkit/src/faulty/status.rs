//! A store with one fault in its state at a glance.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::{BoxFuture, UnhandledType};
use messagekit::operations::{ConsumerStatus, DatabaseStatus, OutboxStatus, UnhandledMessages};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    fn unhandled_with_fault(&self, unhandled: &mut Vec<UnhandledMessages>) {
        let noted = self.notes().unhandled.clone();
        let all = || {
            noted.iter().map(|noted| UnhandledMessages {
                topic: Arc::clone(&noted.topic),
                event_type: noted.event_type.clone(),
                similar: noted.similar.clone(),
                messages: noted.messages,
                first_at: Timestamp::now(),
                last_at: Timestamp::now(),
            })
        };
        match self.fault {
            Some(Fault::UnhandledCountsLastNote) => unhandled.iter_mut().for_each(|known| {
                let is_it = |noted: &&UnhandledType| {
                    (&noted.topic, &noted.event_type) == (&known.topic, &known.event_type)
                };
                known.messages = noted.iter().rev().find(is_it).map_or(0, |noted| noted.messages);
            }),
            Some(Fault::UnhandledIgnoresConsumer) => *unhandled = all().collect(),
            Some(Fault::UnhandledWithoutBound) => {
                *unhandled = all().collect();
                unhandled.sort_by_key(|known| std::cmp::Reverse(known.messages));
            }
            _ => {}
        }
    }
}

impl DatabaseStatus for FaultyStore {
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>> {
        Box::pin(async move {
            let mut status = self.inner.outbox_status().await?;
            if self.is(Fault::StatusForgetsReplays) {
                status.running_replays = 0;
            }
            Ok(status)
        })
    }

    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>> {
        Box::pin(async move {
            let mut statuses = self.inner.consumer_statuses().await?;
            match self.fault {
                Some(Fault::StatusForgetsConsumers) => {
                    statuses.retain(|status| !status.failed_messages.is_empty());
                }
                Some(Fault::StatusForgetsStates) => statuses.iter_mut().for_each(|status| {
                    status.failed_messages.truncate(1);
                }),
                Some(Fault::StatusFreezesMarkers) => statuses.iter_mut().for_each(|status| {
                    let frozen = &mut self.notes().newest_markers;
                    let first = frozen.entry(status.consumer.clone()).or_insert(status.newest_marker_at);
                    status.newest_marker_at = *first;
                }),
                Some(Fault::StatusForgetsWindows) => {
                    statuses.iter_mut().for_each(|status| status.dedup_window = None);
                }
                Some(Fault::StatusCountsSettledRecords) => {
                    for position in statuses.iter_mut().flat_map(|status| &mut status.positions) {
                        let settled = u64::try_from(position.next).unwrap_or(0);
                        position.behind = position.behind.map(|behind| behind + settled);
                    }
                }
                _ => {}
            }
            statuses.iter_mut().for_each(|status| self.unhandled_with_fault(&mut status.unhandled));
            Ok(statuses)
        })
    }
    fn last_seen<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<Option<Duration>, Error>> {
        Box::pin(async move {
            let seen = self.inner.last_seen(consumer).await?;
            Ok(if self.is(Fault::SeesEveryConsumer) { Some(seen.unwrap_or_default()) } else { seen })
        })
    }
}
