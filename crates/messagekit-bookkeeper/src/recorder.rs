//! Handler that records broker dead letters.

use messagekit::adapter::{Bookkeeping, BoxFuture, CatchAll, SetAsideOutcome};
use messagekit::operations::Origin;
use messagekit::{DeliveryInfo, HandlerError, Message, MessageId, Position, crash};
use messagekit_prometheus::Metrics;

use super::death_headers::{DeathHeaders, claim_id};
use super::stats::BookkeeperStats;

/// Records all messages of one origin.
pub(super) struct Recorder<S> {
    pub(super) store: S,
    pub(super) origin: Origin,
    pub(super) stats: BookkeeperStats,
    pub(super) metrics: Option<Metrics>,
}

impl<S: Bookkeeping> Recorder<S> {
    async fn keep(&self, tx: &mut S::Tx, death_headers: DeathHeaders) -> Result<(), HandlerError> {
        let DeathHeaders { found, event_id } = death_headers;
        let kept = self.store.keep(tx, &found).await?;
        let (scope, message_id, failure) = (&*found.scope, &found.received.id, &found.failure);
        if kept == SetAsideOutcome::AlreadySettled {
            tracing::debug!(scope, %message_id, "dead message was kept before");
            return Ok(());
        }
        let ours = match &event_id {
            Some(event_id) => self.store.note_failure(tx, event_id, scope, &failure.error).await?,
            None => false,
        };
        let (topic, kind) = (&*found.received.message.topic, failure.kind.as_str());
        self.stats.counts().kept += 1;
        if ours {
            self.stats.counts().ours += 1;
        }
        if let Some(metrics) = &self.metrics {
            metrics.kept(topic, kind).inc();
        }
        let whose = if ours { "an event of this outbox" } else { "no event of this outbox" };
        tracing::error!(scope, %message_id, topic, kind, error = failure.error, whose, "dead message kept");
        crash::point("bookkeeper.kept");
        Ok(())
    }
}

impl<S: Bookkeeping> CatchAll<S> for Recorder<S> {
    /// One event may be dead-lettered at several positions, so its scope is part of the id.
    fn id(&self, message: &Message, position: Option<&Position>) -> MessageId {
        claim_id(&DeathHeaders::of(self.origin, message.clone(), position.cloned()).found)
    }

    fn take<'a>(
        &'a self,
        tx: &'a mut S::Tx,
        message: &'a Message,
        delivery: DeliveryInfo,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(self.keep(tx, DeathHeaders::of(self.origin, message.clone(), delivery.position)))
    }
}
