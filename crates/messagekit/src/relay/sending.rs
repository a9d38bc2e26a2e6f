//! Publishes a batch, and sets rejected and unreadable events aside.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::publish_batch::{Ended, Outage, PublishBatch};
use super::settings::Settings;
use super::single_flight::{PATIENCE, in_time};
use super::{Rejection, ShardLease};
use crate::transport::{PublishError, PublishErrorKind, PublishSpans};
use crate::{Error, ErrorKind, Message, chain, crash};

/// The result of a batch, and its counts.
pub(super) struct Sent {
    pub(super) topic: Arc<str>,
    pub(super) ended: Ended,
    /// Number of events in the batch.
    pub(super) rows: u64,
    /// The time of the call to the broker.
    pub(super) took: Duration,
    /// Number of events to publish again.
    pub(super) repeated: u64,
    /// Number of events that the broker rejected.
    pub(super) rejected: u64,
    /// Number of events set aside, rejected ones included.
    pub(super) set_aside: u64,
    /// An event was rejected after the relay lost its shard.
    pub(super) fenced: bool,
}

/// Publishes the events of a batch without copying payloads. Events behind a rejected or unreadable one of their key are
/// skipped.
pub(super) async fn send(settings: Arc<Settings>, instance: Arc<str>, part: PublishBatch) -> Sent {
    let mut sent = Sent {
        topic: part.topic,
        ended: Ended { number: part.number, ..Ended::default() },
        rows: part.rows.len() as u64,
        took: Duration::ZERO,
        repeated: 0,
        rejected: 0,
        set_aside: 0,
        fenced: false,
    };
    let (mut stopped, mut rejections) = (HashSet::new(), Vec::new());
    let (mut entries, mut batch) = (Vec::new(), Vec::with_capacity(part.rows.len()));
    for row in part.rows {
        let (lease, entry, key) = (row.lease, row.event.entry(), row.event.message.key.clone());
        if key.as_ref().is_some_and(|key| stopped.contains(key)) {
            continue;
        }
        let error = match (row.event.unreadable, row.event.held) {
            (Some(reason), _) => Some(Error::new(ErrorKind::Corrupt, reason)),
            (None, true) => None,
            (None, false) => match settings.prepare(row.event.message) {
                Ok(message) => {
                    entries.push((lease, entry));
                    batch.push(message);
                    continue;
                }
                Err(error) => Some(error),
            },
        };
        stopped.extend(key);
        rejections.push(Rejection { lease, entry, error });
    }
    let started = Instant::now();
    let answers = settings.publish(&batch).await;
    sent.took = started.elapsed();
    for (index, ((lease, entry), message)) in entries.into_iter().zip(&batch).enumerate() {
        let is_stopped = message.key.as_ref().is_some_and(|key| stopped.contains(key));
        match answers.get(index) {
            Some(Ok(())) => sent.ended.confirmed.push(entry),
            Some(Err(refused)) if refused.refusal == PublishErrorKind::Rejected => {
                stopped.extend(message.key.clone());
                rejections.push(Rejection { lease, entry, error: Some(refused.error.clone()) });
            }
            Some(Err(refused)) if refused.refusal == PublishErrorKind::KeyBlocked && is_stopped => {}
            Some(Err(PublishError { error, refusal })) => {
                sent.again(chain(error), *refusal == PublishErrorKind::Full);
            }
            None => sent.again("publisher did not answer for every message".to_owned(), false),
        }
    }
    for rejection in rejections {
        // The remaining events stay in the outbox and are published and rejected again. An unreachable database is not queried
        // once for each.
        if !settings.set_aside(&instance, rejection, &mut sent).await {
            break;
        }
    }
    sent
}

impl Sent {
    fn again(&mut self, error: String, is_full: bool) {
        self.repeated += 1;
        // Keep the first error: later ones follow from it.
        let outage = self.ended.outage.get_or_insert(Outage { error, is_full });
        outage.is_full |= is_full;
    }
}

impl Settings {
    /// Converts an event to the message for the broker.
    fn prepare(&self, mut message: Message) -> Result<Message, Error> {
        let max_bytes = self.publisher.max_bytes();
        if message.payload.len() > max_bytes {
            let text = format!(
                "payload of {} bytes is over the broker's limit of {max_bytes}",
                message.payload.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, text).with("topic", &message.topic));
        }
        if let Some(routing_key) = &self.routing_key {
            message.topic = routing_key.of(&message, &message.topic)?.into();
        }
        Ok(message)
    }

    async fn publish(&self, batch: &[Message]) -> Vec<crate::transport::Published> {
        if batch.is_empty() {
            return Vec::new();
        }
        let started = Instant::now();
        let spans = PublishSpans::begin(&self.name, self.publisher.system(), batch);
        let answers = self.publisher.publish(batch).await;
        spans.end(&answers);
        self.stats.took(started.elapsed());
        crash::point("relay.published");
        answers
    }

    /// Sets an event aside with all events behind it. Returns whether the database answered.
    async fn set_aside(&self, instance: &str, rejection: Rejection, sent: &mut Sent) -> bool {
        let ShardLease { shard, .. } = rejection.lease;
        let statement = self.reader.set_aside(instance, &rejection);
        let set_aside = in_time("setting aside", PATIENCE, statement).await;
        crash::point("relay.rejected");
        let relay = &*self.name;
        match (set_aside, rejection.error) {
            // The new owner of the shard decides, or an operator has put back the event that it waits for.
            (Ok(0), error) => {
                sent.ended.again.push(shard);
                sent.fenced |= error.is_some();
            }
            (Ok(count), None) => sent.set_aside += count,
            (Ok(count), Some(error)) => {
                sent.rejected += 1;
                sent.set_aside += count;
                tracing::error!(
                    relay,
                    topic = &*sent.topic,
                    seq = rejection.entry.seq,
                    event = %rejection.entry.event_id,
                    set_aside = count,
                    error = chain(&error),
                    "event cannot go out: it is set aside with what is behind it; see `messagekit outbox rejected list`"
                );
            }
            (Err(error), _) => {
                sent.again(chain(&error), false);
                return false;
            }
        }
        true
    }
}
