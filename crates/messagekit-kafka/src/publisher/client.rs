//! One producer of librdkafka, until a fatal error or a deadline ends it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messagekit::{Error, Message};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use tokio::time::Instant;

use super::answers::key;
use super::delivery_outcome::{DeliveryOutcome, DeliveryOutcomes, Opaque};
use super::warm_up::WarmUp;
use crate::error::unusable_settings;
use crate::record;

/// How long to wait if the client's queue is full.
const FULL: Duration = Duration::from_millis(2);
/// How often to check for a failed client while waiting for reports.
const LOOK: Duration = Duration::from_millis(50);
/// How long to wait for a failed client: answers may still arrive.
const LAST: Duration = Duration::from_millis(200);
/// How long a purge may take to report the purged messages.
const PURGE: Duration = Duration::from_secs(2);
/// The time limit of the query for the number of partitions of a topic.
const COUNT: Duration = Duration::from_secs(10);

pub(super) struct Client {
    producer: Option<Arc<ThreadedProducer<Reports>>>,
    proven: Arc<WarmUp>,
    /// Whether the client was purged: later messages would pass the purged ones.
    purged: Mutex<bool>,
}

impl Client {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, Error> {
        let proven = Arc::new(WarmUp::default());
        let made = config.create_with_context(Reports(Arc::clone(&proven)));
        let producer = Some(Arc::new(made.map_err(|error| unusable_settings("publisher", error))?));
        Ok(Self { producer, proven, purged: Mutex::new(false) })
    }

    fn producer(&self) -> &Arc<ThreadedProducer<Reports>> {
        self.producer.as_ref().expect("it is taken when dropped")
    }

    /// Returns whether the client will never send again.
    pub(super) fn is_dead(&self) -> bool {
        *self.purged() || self.producer().client().fatal_error().is_some()
    }

    /// Sends messages and waits for their reports; purges those without a report at the deadline, as far as possible.
    /// Returns an outcome for each message that was tried, and whether the client is unusable now.
    ///
    /// If a topic does not know the client yet, the first message of each key is sent before the others.
    pub(super) async fn send(
        &self,
        messages: Vec<(usize, &Message)>,
        deadline: Instant,
    ) -> (Vec<(usize, DeliveryOutcome)>, bool) {
        let topics: HashSet<&Arc<str>> = messages.iter().map(|(_, message)| &message.topic).collect();
        let young: HashSet<&str> =
            topics.into_iter().map(|topic| &**topic).filter(|topic| !self.proven.is_proven(topic)).collect();
        if young.is_empty() {
            return (self.send_at_once(&messages, deadline).await, self.is_dead());
        }
        let mut keys = HashSet::new();
        let (first, others): (Vec<_>, Vec<_>) = messages.into_iter().partition(|(_, message)| {
            !young.contains(&*message.topic) || key(message).is_none_or(|key| keys.insert(key))
        });
        let mut outcomes = self.send_at_once(&first, deadline).await;
        young.into_iter().for_each(|topic| self.count_partitions(topic));
        if others.is_empty() {
            return (outcomes, self.is_dead());
        }
        let sent: HashMap<usize, &Message> = first.into_iter().collect();
        let failed = outcomes.iter().filter(|(_, fate)| *fate != DeliveryOutcome::Taken);
        let failed: HashSet<_> =
            failed.filter_map(|(index, _)| sent.get(index).copied().and_then(key)).collect();
        let (behind, others): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|(_, message)| key(message).is_some_and(|key| failed.contains(&key)));
        outcomes.extend(behind.into_iter().map(|(index, _)| (index, DeliveryOutcome::behind())));
        if !others.is_empty() {
            outcomes.extend(self.send_at_once(&others, deadline).await);
        }
        (outcomes, self.is_dead())
    }

    /// Starts a query for the number of partitions of a topic, without waiting for the answer.
    fn count_partitions(&self, topic: &str) {
        if !self.proven.is_to_be_counted(topic) {
            return;
        }
        let (producer, proven, topic) =
            (Arc::clone(self.producer()), Arc::clone(&self.proven), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let answer = producer.client().fetch_metadata(Some(&topic), COUNT);
            let found = answer.as_ref().ok().and_then(|answer| answer.topics().first());
            proven.counted(&topic, found.map(|found| found.partitions().len()).filter(|count| *count > 0));
        });
    }

    async fn send_at_once(
        &self,
        messages: &[(usize, &Message)],
        deadline: Instant,
    ) -> Vec<(usize, DeliveryOutcome)> {
        let outcomes = Arc::new(DeliveryOutcomes::default());
        let mut ended: Option<KafkaError> = None;
        // A message that is rejected before it is sent holds back the later messages of its key.
        let mut refused = HashSet::new();
        for (index, message) in messages {
            let key = key(message);
            let opaque = outcomes.opaque(*index);
            if key.is_some_and(|key| refused.contains(&key)) {
                opaque.settle(DeliveryOutcome::behind());
            } else if let Some(error) = &ended {
                opaque.settle(DeliveryOutcome::NotSent(error.clone()));
            } else {
                match self.enqueue(message, opaque, deadline).await {
                    Ok(()) => {}
                    Err((error, opaque)) => {
                        match error.rdkafka_error_code().map(|_| DeliveryOutcome::of(&error)) {
                            Some(fate @ DeliveryOutcome::Refused(_)) => {
                                refused.extend(key);
                                opaque.settle(fate);
                            }
                            _ => {
                                opaque.settle(DeliveryOutcome::NotSent(error.clone()));
                                ended = Some(error);
                            }
                        }
                    }
                }
            }
        }
        let in_time = tokio::time::timeout_at(deadline, self.reported(&outcomes)).await;
        if in_time != Ok(true) {
            // Purge everything of this client at once: later messages would pass a single message that times out.
            self.purge();
            let _ = tokio::time::timeout(PURGE, outcomes.all_known()).await;
        }
        outcomes.take()
    }

    /// Waits for every report; returns false if the client has failed, because its queued messages may get none.
    async fn reported(&self, outcomes: &DeliveryOutcomes) -> bool {
        while tokio::time::timeout(LOOK, outcomes.all_known()).await.is_err() {
            if self.producer().client().fatal_error().is_some() {
                return tokio::time::timeout(LAST, outcomes.all_known()).await.is_ok();
            }
        }
        true
    }

    /// Hands a message to the client, and waits for room in its queue. The client copies the payload.
    async fn enqueue(
        &self,
        message: &Message,
        opaque: Opaque,
        deadline: Instant,
    ) -> Result<(), (KafkaError, Opaque)> {
        let headers = record::headers_of(message);
        let mut record =
            BaseRecord::with_opaque_to(&message.topic, opaque).payload(&message.payload[..]).headers(headers);
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

/// Dropping the client joins a thread and blocks, so it must not happen in a task.
impl Drop for Client {
    fn drop(&mut self) {
        let producer = self.producer.take();
        let end = std::thread::Builder::new().name("messagekit-kafka-end".into());
        if let Err(error) = end.spawn(move || drop(producer)) {
            tracing::error!(%error, "no thread to end a publisher with");
        }
    }
}

/// Records delivery reports.
pub(super) struct Reports(Arc<WarmUp>);

impl ProducerContext for Reports {
    type DeliveryOpaque = Opaque;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Opaque) {
        let fate = match result {
            Ok(record) if record.offset() >= 0 => {
                self.0.took(record.topic(), record.partition());
                DeliveryOutcome::Taken
            }
            // The client infers this success from a later request. A broker that does not know the client may have
            // accepted only that request.
            Ok(_) => DeliveryOutcome::Unknown(KafkaError::Canceled),
            Err((error, _)) => DeliveryOutcome::of(error),
        };
        opaque.settle(fate);
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
