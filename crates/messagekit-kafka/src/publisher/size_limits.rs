//! The limits of size that topics have of their own.
//!
//! A broker compares `max.message.bytes` of a topic with each batch of records as it arrives, that is compressed, and
//! refuses the batch as a whole. A refusal ends an idempotent client, and with it the requests of other topics. So a
//! message of which the size before compression says that it may be refused takes another client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::ConfigResource;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::time::Instant;

use crate::topic_settings;

/// How long a limit counts as known; meanwhile a lowered one shows by a refusal, and a raised one costs only speed.
const KNOWN: Duration = Duration::from_secs(300);
/// How long a question without an answer is not repeated, for example because the topic is not there yet.
const UNKNOWN: Duration = Duration::from_secs(30);
/// The longest wait of a publish for the first answer about a topic.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct SizeLimits {
    config: ClientConfig,
    limits: Mutex<HashMap<Arc<str>, Limit>>,
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    /// `None` if the broker has not stated it.
    bytes: Option<usize>,
    since: Instant,
}

impl Limit {
    fn is_old(&self) -> bool {
        self.since.elapsed() >= if self.bytes.is_some() { KNOWN } else { UNKNOWN }
    }
}

impl SizeLimits {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { config, limits: Mutex::default(), asking: Arc::default() }
    }

    /// Returns the limit of a topic in bytes, if it is known.
    pub(super) fn of(&self, topic: &str) -> Option<usize> {
        self.limits().get(topic).and_then(|limit| limit.bytes)
    }

    /// Returns the limits of topics in bytes, as far as they are known. Asks for those of new topics, and waits for the
    /// answer for half of the time until `deadline`, at most [`PATIENCE`]. Limits that are known for long are asked for
    /// again, without a wait.
    pub(super) async fn learn(
        self: &Arc<Self>,
        topics: &[Arc<str>],
        deadline: Instant,
    ) -> HashMap<Arc<str>, usize> {
        if !self.new_among(topics).is_empty() {
            let patience = PATIENCE.min(deadline.saturating_duration_since(Instant::now()) / 2);
            let _ = tokio::time::timeout(patience, self.ask_for_new(topics)).await;
            self.unanswered(self.new_among(topics));
        }
        let mut known = HashMap::with_capacity(topics.len());
        let mut is_old = false;
        for (topic, limit) in self.limits_among(topics) {
            is_old |= limit.is_old();
            known.extend(limit.bytes.map(|bytes| (topic, bytes)));
        }
        if is_old {
            self.renew();
        }
        known
    }

    /// Asks for all limits that are known for long, in one question, unless a question is on its way.
    fn renew(self: &Arc<Self>) {
        let Ok(turn) = Arc::clone(&self.asking).try_lock_owned() else { return };
        let limits = Arc::clone(self);
        tokio::spawn(async move {
            let old = limits.old();
            limits.ask(old).await;
            drop(turn);
        });
    }

    /// Forgets the limit of a topic that refused a message, unless the limit was stated after `sent`.
    pub(super) fn refused(&self, topic: &str, sent: Instant) {
        let mut limits = self.limits();
        if limits.get(topic).is_some_and(|limit| limit.since <= sent) {
            limits.remove(topic);
        }
    }

    /// Records that a topic refused a message of `size` bytes that was sent alone: a limit that no broker states is
    /// below that.
    pub(super) fn refused_alone(&self, topic: &Arc<str>, size: usize) {
        if self.of(topic).is_none_or(|limit| limit >= size) {
            self.state(Arc::clone(topic), Some(size.saturating_sub(1)));
        }
    }

    async fn ask_for_new(&self, topics: &[Arc<str>]) {
        let _turn = self.asking.lock().await;
        // Another call may have asked meanwhile.
        let new = self.new_among(topics);
        if !new.is_empty() {
            self.ask(new).await;
        }
    }

    async fn ask(&self, topics: Vec<Arc<str>>) {
        let answers = match topic_settings::of(self.config.clone(), topics.clone()).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(%error, "limits of topics are not known");
                return self.unanswered(topics);
            }
        };
        let mut unanswered = Vec::new();
        for (topic, answer) in topics.into_iter().zip(answers) {
            match answer {
                Ok(answer) => self.state(topic, bytes(&answer)),
                Err(Code::UnknownTopicOrPartition) => self.state(topic, None),
                Err(code) => {
                    tracing::debug!(%code, "limit of a topic is not known");
                    unanswered.push(topic);
                }
            }
        }
        self.unanswered(unanswered);
    }

    /// Keeps what is known of topics whose limit was asked for in vain.
    fn unanswered(&self, topics: Vec<Arc<str>>) {
        let mut limits = self.limits();
        for topic in topics {
            let bytes = limits.get(&topic).and_then(|limit| limit.bytes);
            limits.insert(topic, Limit { bytes, since: Instant::now() });
        }
    }

    fn old(&self) -> Vec<Arc<str>> {
        let limits = self.limits();
        limits.iter().filter(|(_, limit)| limit.is_old()).map(|(topic, _)| Arc::clone(topic)).collect()
    }

    fn state(&self, topic: Arc<str>, bytes: Option<usize>) {
        self.limits().insert(topic, Limit { bytes, since: Instant::now() });
    }

    /// Returns the topics that were never asked for.
    fn new_among(&self, topics: &[Arc<str>]) -> Vec<Arc<str>> {
        let limits = self.limits();
        topics.iter().filter(|topic| !limits.contains_key(&**topic)).cloned().collect()
    }

    fn limits_among(&self, topics: &[Arc<str>]) -> Vec<(Arc<str>, Limit)> {
        let limits = self.limits();
        topics.iter().filter_map(|topic| Some((Arc::clone(topic), *limits.get(topic)?))).collect()
    }

    fn limits(&self) -> MutexGuard<'_, HashMap<Arc<str>, Limit>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(answer: &ConfigResource) -> Option<usize> {
    topic_settings::value(answer, "max.message.bytes")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> SizeLimits {
        SizeLimits::new(ClientConfig::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_no_broker_states_is_learned_from_refusals() {
        let limits = limits();
        let topic = Arc::from("t");
        limits.refused_alone(&topic, 5_000);
        limits.refused_alone(&topic, 9_000);
        assert_eq!(limits.of("t"), Some(4_999));
        limits.refused_alone(&topic, 3_000);
        assert_eq!(limits.of("t"), Some(2_999));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_puts_only_older_answers_in_doubt() {
        let limits = limits();
        limits.state("t".into(), Some(100));
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        limits.state("u".into(), Some(100));
        limits.refused("t", sent);
        limits.refused("u", sent);
        assert_eq!((limits.of("t"), limits.of("u")), (None, Some(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_in_vain_forgets_no_limit() {
        let limits = limits();
        limits.state("t".into(), Some(100));
        tokio::time::advance(KNOWN).await;
        assert_eq!(limits.old().len(), 1);
        limits.unanswered(vec!["t".into(), "u".into()]);
        assert_eq!((limits.of("t"), limits.of("u"), limits.old().len()), (Some(100), None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_get_old_and_missing_ones_sooner() {
        let (stated, missing) =
            (Limit { bytes: Some(1), since: Instant::now() }, Limit { bytes: None, since: Instant::now() });
        tokio::time::advance(UNKNOWN).await;
        assert!(!stated.is_old() && missing.is_old());
        tokio::time::advance(KNOWN).await;
        assert!(stated.is_old());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_publish_waits_for_the_limit_of_a_topic() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1");
        let limits = Arc::new(SizeLimits::new(config));
        let topics = ["t".into()];
        let mut waits = Vec::new();
        for deadline in [1, 3_600] {
            let start = Instant::now();
            limits.learn(&topics, start + Duration::from_secs(deadline)).await;
            waits.push(start.elapsed());
        }
        assert!(waits[0] <= Duration::from_millis(501), "{waits:?}");
        assert_eq!((waits[1], limits.of("t")), (Duration::ZERO, None));
    }
}
