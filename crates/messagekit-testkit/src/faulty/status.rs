//! A store with one fault in its state at a glance.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{ConsumerStatus, DatabaseStatus, OutboxStatus};

use super::Fault;
use super::store::FaultyStore;

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
                Some(Fault::StatusForgetsWindows) => {
                    statuses.iter_mut().for_each(|status| status.dedup_window = None);
                }
                _ => {}
            }
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
