//! Binds the source with the positions that the consumer's database has recorded.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::Backoff;
use super::lane::key_lane_of;
use super::settings::Settings;
use crate::store::{Attempts, BoxFuture, Inbox, NextOffset, Priming, Primings};
use crate::transport::{RememberedOffsets, Source};
use crate::{Error, Message, Position, chain};

/// Binds the source. It waits for a database that does not answer.
pub(super) async fn bind<S: Inbox, Src: Source>(
    settings: &Settings<S>,
    mut source: Src,
) -> Result<Src::Subscriber, Error> {
    let (store, consumer) = (&settings.store, &*settings.name);
    let mut remembered = Vec::new();
    for topic in source.topics() {
        remembered.extend(retry_during_outage(consumer, || live_next_of(store, consumer, topic)).await?);
    }
    // Record the window before the first message: otherwise a cleanup could remove the consumer's markers.
    retry_during_outage(consumer, || settings.window.note(store, consumer)).await?;
    retry_during_outage(consumer, || store.attempts().clear_finished_attempts(consumer)).await?;
    source.consult(Arc::new(StoredPositions {
        store: store.clone(),
        consumer: Arc::clone(&settings.name),
        key_lanes: settings.key_lanes,
    }));
    source.bind(consumer, &remembered).await
}

/// The positions of a consumer in a store.
struct StoredPositions<S> {
    store: S,
    consumer: Arc<str>,
    key_lanes: NonZeroU32,
}

impl<S: Inbox> RememberedOffsets for StoredPositions<S> {
    fn next_of<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<NextOffset>, Error>> {
        Box::pin(live_next_of(&self.store, &self.consumer, topic))
    }

    fn is_primed(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async {
            let priming = self.store.primings().priming(&self.consumer).await?;
            Ok(priming.is_some_and(|priming| priming.is_finished && !priming.is_in_group()))
        })
    }

    fn note_in_group(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let known = self.store.primings().priming(&self.consumer).await?;
            // Another process may have begun the next priming by force.
            let Some(priming) = known.filter(|priming| priming.is_finished) else { return Ok(()) };
            let mut tx = self.store.begin().await?;
            self.store.primings().write_priming(&mut tx, &self.consumer, priming.in_group()).await?;
            self.store.commit(tx).await
        })
    }

    fn key_lane(&self, message: &Message, position: &Position) -> u32 {
        key_lane_of(message, Some(position), 0, self.key_lanes)
    }
}

/// Returns where a consumer reads on in a topic, without the own positions of its primings.
pub(super) async fn live_next_of<S: Inbox>(
    store: &S,
    consumer: &str,
    topic: &str,
) -> Result<Vec<NextOffset>, Error> {
    let mut positions = store.next_of(consumer, topic).await?;
    positions.retain(|position| !Priming::owns(position.key_lane));
    Ok(positions)
}

/// Repeats a call until the store answers.
pub(super) async fn retry_during_outage<T, F: Future<Output = Result<T, Error>>>(
    consumer: &str,
    mut call: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut outages = 0;
    loop {
        match call().await {
            Err(error) if error.is_transient() => {
                outages += 1;
                let wait = Backoff::OUTAGE.delay(outages);
                tracing::warn!(consumer, error = %chain(&error), ?wait, "start delayed by an outage");
                tokio::time::sleep(wait).await;
            }
            answer => return answer,
        }
    }
}
