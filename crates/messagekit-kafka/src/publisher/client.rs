//! One producer of librdkafka, until a fatal error or a deadline ends it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messagekit::{Error, Message};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use tokio::time::Instant;

use super::fate::{Fate, Fates, Ticket};
use crate::error::unusable_settings;

/// How long to wait when the client's queue is full.
const FULL: Duration = Duration::from_millis(2);
/// How often to look whether the client has failed while reports are waited for.
const LOOK: Duration = Duration::from_millis(50);
/// How long a client that has failed is waited for: answers may be on their way.
const LAST: Duration = Duration::from_millis(200);
/// How long a purge may take to report what it purged.
const PURGE: Duration = Duration::from_secs(2);

pub(super) struct Client {
    producer: Option<ThreadedProducer<Reports>>,
    /// Was purged: what is sent now would pass what was taken back.
    purged: Mutex<bool>,
}

impl Client {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, Error> {
        let made = config.create_with_context(Reports);
        let producer = Some(made.map_err(|error| unusable_settings("publisher", error))?);
        Ok(Self { producer, purged: Mutex::new(false) })
    }

    fn producer(&self) -> &ThreadedProducer<Reports> {
        self.producer.as_ref().expect("it is taken when dropped")
    }

    /// Returns whether it will never send again.
    pub(super) fn is_dead(&self) -> bool {
        *self.purged() || self.producer().client().fatal_error().is_some()
    }

    /// Sends messages and waits for their reports; what has none at the deadline is taken back as far as that goes.
    /// Returns a fate for each message that was tried, and whether the client is of no use any more.
    pub(super) async fn send(
        &self,
        messages: impl Iterator<Item = (usize, &Message, OwnedHeaders)>,
        deadline: Instant,
    ) -> (Vec<(usize, Fate)>, bool) {
        let fates = Arc::new(Fates::default());
        let mut ended: Option<KafkaError> = None;
        // A message that is refused before it is sent holds back what stands behind it in its key.
        let mut refused = std::collections::HashSet::new();
        for (index, message, headers) in messages {
            let key = message.key.as_ref().map(|key| (&message.topic, key));
            let ticket = fates.ticket(index);
            if key.is_some_and(|key| refused.contains(&key)) {
                ticket.settle(Fate::NotSent(KafkaError::MessageProduction(Code::PurgeQueue)));
            } else if let Some(error) = &ended {
                ticket.settle(Fate::NotSent(error.clone()));
            } else {
                match self.enqueue(message, headers, ticket, deadline).await {
                    Ok(()) => {}
                    Err((error, ticket)) => match error.rdkafka_error_code().map(|_| Fate::of(&error)) {
                        Some(fate @ Fate::Refused(_)) => {
                            refused.extend(key);
                            ticket.settle(fate);
                        }
                        _ => {
                            ticket.settle(Fate::NotSent(error.clone()));
                            ended = Some(error);
                        }
                    },
                }
            }
        }
        let in_time = tokio::time::timeout_at(deadline, self.reported(&fates)).await;
        if in_time != Ok(true) {
            // Everything of this client at once: a message that ran out of time alone would be passed by those behind it.
            self.purge();
            let _ = tokio::time::timeout(PURGE, fates.all_known()).await;
        }
        (fates.take(), self.is_dead())
    }

    /// Waits for every report; returns false when the client has failed, which may leave what is in its queues without one.
    async fn reported(&self, fates: &Fates) -> bool {
        while tokio::time::timeout(LOOK, fates.all_known()).await.is_err() {
            if self.producer().client().fatal_error().is_some() {
                return tokio::time::timeout(LAST, fates.all_known()).await.is_ok();
            }
        }
        true
    }

    /// Hands a message to the client, waiting for room in its queue. The client copies the payload.
    async fn enqueue(
        &self,
        message: &Message,
        headers: OwnedHeaders,
        ticket: Ticket,
        deadline: Instant,
    ) -> Result<(), (KafkaError, Ticket)> {
        let mut record =
            BaseRecord::with_opaque_to(&message.topic, ticket).payload(&message.payload[..]).headers(headers);
        if let Some(key) = &message.key {
            record = record.key(&key[..]);
        }
        loop {
            let sent = match *self.purged() {
                true => Err((KafkaError::MessageProduction(Code::PurgeQueue), record)),
                false => self.producer().send(record),
            };
            match sent {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) if Instant::now() < deadline => {
                    tokio::time::sleep(FULL).await;
                    record = back;
                }
                Err((error, back)) => return Err((error, back.delivery_opaque)),
            }
        }
    }

    fn purge(&self) {
        let mut purged = self.purged();
        *purged = true;
        self.producer().purge(PurgeConfig::default().queue().inflight());
    }

    fn purged(&self) -> MutexGuard<'_, bool> {
        self.purged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client's own end joins a thread and waits, which is nothing for a task.
impl Drop for Client {
    fn drop(&mut self) {
        let producer = self.producer.take();
        let end = std::thread::Builder::new().name("messagekit-kafka-end".into());
        if let Err(error) = end.spawn(move || drop(producer)) {
            tracing::error!(%error, "no thread to end a publisher with");
        }
    }
}

/// Notes delivery reports.
pub(super) struct Reports;

impl ProducerContext for Reports {
    type DeliveryOpaque = Ticket;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Ticket) {
        let fate = match result {
            Ok(_) => Fate::Taken,
            Err((error, _)) => Fate::of(error),
        };
        ticket.settle(fate);
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        crate::context::log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        crate::context::statistics_logged(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "publisher");
    }
}
