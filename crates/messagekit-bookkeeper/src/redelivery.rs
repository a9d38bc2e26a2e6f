//! Redelivers failed messages to their broker.

use std::time::Duration;

use messagekit::adapter::{
    Bookkeeping, End, Failure, FailureKind, PublishError, PublishErrorKind, PublishSpans, Publisher,
    RETRY_POLL, Redelivery, TransactError,
};
use messagekit::operations::Origin;
use messagekit::{Backoff, Error, ErrorKind, Message, Shutdown, chain, crash, headers};
use tokio::time::Instant;

use super::death_headers::returns;
use super::stats::BookkeeperStats;

/// Maximum number of redeliveries in flight.
const BATCH: u32 = 50;
/// Duration of a redelivery lease: longer than any publisher waits for its confirmations.
const LEASE: Duration = Duration::from_secs(60);

/// Headers that only dead letters have. A message that was not read completely is redelivered with the part that was
/// read.
const OF_THE_DEATH: [&str; 6] = [
    headers::X_DEATH,
    headers::DEAD_KIND,
    headers::DEAD_ERROR,
    headers::DEAD_BY,
    headers::RETRY_TOPIC,
    headers::UNREADABLE,
];

/// Publishes failed messages of one origin that an operator wants to redeliver, and resolves each after the broker's
/// confirmation. If the process crashes between the two, the message is sent again when its lease ends. It has the same
/// id, so consumers apply it once.
pub(super) struct Redeliverer<S> {
    pub(super) store: S,
    pub(super) origin: Origin,
    pub(super) publisher: Box<dyn Publisher>,
    pub(super) stats: BookkeeperStats,
}

impl<S: Bookkeeping> Redeliverer<S> {
    /// Runs until `shutdown`, then finishes redeliveries in flight.
    ///
    /// # Errors
    /// Fails if the store returns a permanent error.
    pub(super) async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let mut outages = 0;
        while !shutdown.is_requested() {
            let wait = match self.look().await {
                Ok(Looked::Nothing) => {
                    outages = 0;
                    RETRY_POLL
                }
                Ok(Looked::Returned) => {
                    outages = 0;
                    continue;
                }
                Ok(Looked::Outage(error)) => {
                    outages += 1;
                    let wait = Backoff::OUTAGE.delay(outages);
                    tracing::warn!(origin = %self.origin, error, ?wait, "returns paused by an outage");
                    wait
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                () = shutdown.clone() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(())
    }

    /// Redelivers one batch of due failed messages. The publish happens between two transactions, never inside one.
    async fn look(&self) -> Result<Looked, Error> {
        let leased = match self.store.lease_returns(self.origin, BATCH, LEASE).await {
            Ok(leased) => leased,
            Err(error) if may_pass(&error) => return Ok(Looked::Outage(chain(&error))),
            Err(error) => return Err(error),
        };
        if leased.is_empty() {
            return Ok(Looked::Nothing);
        }
        let leased_at = Instant::now();
        let messages: Vec<Message> = leased.iter().map(on_its_way).collect();
        let spans = PublishSpans::begin(self.origin.as_str(), self.publisher.system(), &messages);
        let published = self.publisher.publish(&messages).await;
        spans.end(&published);
        crash::point("bookkeeper.returned");
        let mut looked = Looked::Returned;
        for (returning, published) in std::iter::zip(leased, published) {
            let answered = match published {
                Ok(()) => self.resolve(returning, leased_at).await,
                Err(refused) => {
                    if matches!(
                        refused.refusal,
                        PublishErrorKind::Unavailable | PublishErrorKind::Full | PublishErrorKind::Unknown
                    ) {
                        looked = Looked::Outage(chain(&refused));
                    }
                    self.refused(&returning, &refused, leased_at).await
                }
            };
            if let Err(error) = answered {
                // The message is sent again when its lease ends.
                looked = Looked::Outage(chain(&error));
            }
        }
        Ok(looked)
    }

    /// Resolves a failed message after the broker's confirmation.
    async fn resolve(&self, returning: Redelivery, leased_at: Instant) -> Result<(), Error> {
        let (scope, failed_message) = (returning.scope.clone(), returning.leased.failed_message);
        let resolved = patiently(leased_at, || self.resolve_once(returning.clone())).await;
        match resolved {
            Ok(true) => {
                crash::point("bookkeeper.resolved");
                self.stats.counts().returned += 1;
                tracing::info!(
                    scope,
                    failed_message,
                    return_to = returning.return_to,
                    "failed message sent back"
                );
                Ok(())
            }
            Ok(false) => {
                tracing::warn!(
                    scope,
                    failed_message,
                    "failed message was sent back, and another process or an operator has answered it meanwhile"
                );
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let failure = Failure::permanent(FailureKind::Corrupt, chain(&error));
                self.fail(&returning, &failure, leased_at).await
            }
            Err(error) => Err(error),
        }
    }

    async fn resolve_once(&self, returning: Redelivery) -> Result<bool, Error> {
        let store = self.store.clone();
        let work = self.store.transact(Box::new(move |mut tx| {
            Box::pin(async move {
                let resolved = store.resolve(&mut tx, &returning.scope, &returning.leased, &[]).await;
                let end = match resolved {
                    Ok(true) => End::Commit(Ok(true)),
                    other => End::Rollback(other),
                };
                (tx, end)
            })
        }));
        match work.await {
            Ok(resolved) => resolved,
            // After an unknown commit, the lease shows the result: it is current, or the message is resolved.
            Err(
                TransactError::Begin(error) | TransactError::Commit(error) | TransactError::Unknown(error),
            ) => Err(error),
        }
    }

    /// Handles a redelivery without confirmation. The message is dead after a permanent rejection, otherwise due again.
    async fn refused(
        &self,
        returning: &Redelivery,
        refused: &PublishError,
        leased_at: Instant,
    ) -> Result<(), Error> {
        if refused.refusal != PublishErrorKind::Rejected {
            let hand_back = || self.store.hand_back(&returning.scope, &returning.leased, Duration::ZERO);
            return patiently(leased_at, hand_back).await.map(|_| ());
        }
        let kind = match refused.error.kind() {
            ErrorKind::NotFound => FailureKind::Unroutable,
            ErrorKind::TooLarge => FailureKind::TooLarge,
            _ => FailureKind::Failed,
        };
        let text = format!(
            "{} {} did not take it back: {}",
            self.origin,
            returning.return_to,
            chain(&refused.error)
        );
        self.fail(returning, &Failure::permanent(kind, text), leased_at).await
    }

    async fn fail(&self, returning: &Redelivery, failure: &Failure, leased_at: Instant) -> Result<(), Error> {
        let (scope, failed_message) = (&*returning.scope, returning.leased.failed_message);
        let failed = patiently(leased_at, || self.store.fail(scope, &returning.leased, failure)).await?;
        if failed {
            self.stats.counts().refused += 1;
            tracing::error!(scope, failed_message, kind = %failure.kind, error = failure.error, "requested redelivery failed, failed message is dead");
        }
        Ok(())
    }
}

/// Result of a search for due failed messages.
enum Looked {
    /// None was due.
    Nothing,
    /// Some were due, and there may be more.
    Returned,
    /// The database or the broker is down.
    Outage(String),
}

/// Returns the message to redeliver: the original without the headers of a dead letter.
fn on_its_way(returning: &Redelivery) -> Message {
    let mut message = returning.leased.received.message.clone();
    let returned = returns(&message) + 1;
    message.topic = returning.return_to.as_str().into();
    for name in OF_THE_DEATH {
        message.headers.remove(name);
    }
    message.headers.set(headers::RETURNS, returned.to_string());
    message
}

/// Returns whether a retry may succeed; a failed transaction alone does not end the loop.
fn may_pass(error: &Error) -> bool {
    error.is_transient()
        || matches!(error.kind(), ErrorKind::Aborted | ErrorKind::InvalidData | ErrorKind::Other)
}

/// Repeats a database call during an outage while the lease lasts.
async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    leased_at: Instant,
    answer: impl Fn() -> F,
) -> Result<T, Error> {
    let mut outages = 0;
    loop {
        match answer().await {
            Err(error) if error.is_transient() && leased_at.elapsed() < LEASE => {
                tracing::debug!(error = %chain(&error), "answer to a lease waits");
                outages += 1;
                tokio::time::sleep(Backoff::OUTAGE.delay(outages)).await;
            }
            answered => return answered,
        }
    }
}
