//! The callbacks of librdkafka. They record events and act on none.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tracing::Level;

use crate::contact::Contact;
use crate::topic_ids::{self, TopicIds};

/// A request of the group that this member has not answered yet.
#[derive(Debug)]
pub(crate) enum Rebalance {
    Assign(TopicPartitionList),
    /// `lost` means that other members may own the partitions already.
    Revoke {
        partitions: TopicPartitionList,
        lost: bool,
    },
}

/// Records events during a poll, for the thread that polls.
#[derive(Debug, Default)]
pub(crate) struct Context {
    rebalances: Mutex<VecDeque<Rebalance>>,
    reason: Mutex<String>,
    /// The member no longer answers rebalances; without an answer a close would never return.
    closing: AtomicBool,
    events: AtomicU64,
    contact: Mutex<Contact>,
    ids: Arc<TopicIds>,
    /// The user reads librdkafka's lines at level debug.
    shows_debug: bool,
}

impl Context {
    /// Returns the context of a client of these settings that notes the ids of topics.
    pub(crate) fn of(config: &ClientConfig, ids: &Arc<TopicIds>) -> Self {
        let shows_debug = config.get("debug").is_some_and(|debug| debug != topic_ids::LOGGED);
        Self { ids: Arc::clone(ids), shows_debug, ..Self::default() }
    }

    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Makes the callbacks answer rebalances at once from now on.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Returns the number of callbacks so far: the result of a poll does not show them.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns the text of librdkafka's last error.
    pub(crate) fn reason(&self) -> String {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the contact of the client with its brokers and its group, from its latest statistics.
    pub(crate) fn contact(&self) -> Contact {
        *self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers a rebalance: assigns or revokes its partitions in librdkafka.
///
/// # Errors
/// The error of librdkafka; a consumer that is closing refuses the call.
pub(crate) fn answer(consumer: &BaseConsumer<Context>, rebalance: &Rebalance) -> Result<(), KafkaError> {
    match rebalance {
        Rebalance::Assign(partitions) if is_cooperative(consumer) => consumer.incremental_assign(partitions),
        Rebalance::Assign(partitions) => consumer.assign(partitions),
        Rebalance::Revoke { partitions, .. } if is_cooperative(consumer) => {
            consumer.incremental_unassign(&taken(consumer, partitions))
        }
        Rebalance::Revoke { .. } => consumer.unassign(),
    }
}

/// Returns whether the protocol assigns and revokes only the partitions that change owners.
pub(crate) fn is_cooperative(consumer: &BaseConsumer<Context>) -> bool {
    matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

/// Returns the partitions that are assigned: librdkafka refuses a list that contains others.
fn taken(consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) -> TopicPartitionList {
    let Ok(assignment) = consumer.assignment() else { return partitions.clone() };
    let mut taken = TopicPartitionList::new();
    for one in partitions.elements() {
        if assignment.find_partition(one.topic(), one.partition()).is_some() {
            taken.add_partition(one.topic(), one.partition());
        }
    }
    taken
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.noted();
        let rebalance = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions.clone()),
            _ => Rebalance::Revoke { partitions: partitions.clone(), lost: consumer.assignment_lost() },
        };
        if self.is_closing() {
            if let Err(error) = answer(consumer, &rebalance) {
                tracing::debug!(%error, "rebalance while closing");
            }
        } else {
            self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(rebalance);
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.noted();
        if matches!(level, RDKafkaLogLevel::Debug) {
            self.ids.read(text);
            if !self.shows_debug {
                return;
            }
        }
        log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.noted();
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).look(statistics, Instant::now());
        statistics_logged(statistics);
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        self.noted();
        reason.clone_into(&mut self.reason.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Logs a line of librdkafka. Its errors also arrive as events, and are logged there.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match severity(level, facility, text) {
        Level::ERROR => tracing::error!(target: "librdkafka", facility, "{text}"),
        Level::WARN => tracing::warn!(target: "librdkafka", facility, "{text}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{text}"),
    }
}

/// Warnings that a healthy client logs: facility and a part of the text.
const ACCEPTED: [(&str, &str); 3] = [
    // Every producer with the gapless guarantee logs this. The crate sets the property, and a user cannot change it.
    ("CONFWARN", "property enable.gapless.guarantee is experimental"),
    // A broker that has just started answers its first producers so, and they retry. If it lasts, publishing fails
    // with an error.
    ("GETPID", "Coordinator load in progress: retrying"),
    // The request was on its way over the bootstrap address when the client learned the broker's own, which it then uses.
    ("GETPID", "Broker handle destroyed without termination: retrying"),
];

fn severity(level: RDKafkaLogLevel, facility: &str, text: &str) -> Level {
    if ACCEPTED.iter().any(|(of, part)| facility == *of && text.contains(part)) {
        return Level::DEBUG;
    }
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => Level::ERROR,
        RDKafkaLogLevel::Warning => Level::WARN,
        _ => Level::DEBUG,
    }
}

/// Logs the statistics that a user requested with `statistics.interval.ms`.
pub(crate) fn statistics_logged(statistics: &[u8]) {
    let statistics = String::from_utf8_lossy(statistics);
    tracing::debug!(target: "librdkafka", %statistics);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_of_a_healthy_client_are_no_warnings() {
        let severity = |facility: &str, text: &str| severity(RDKafkaLogLevel::Warning, facility, text);
        let about =
            |property| format!("[thrd:app]: Configuration property {property} is experimental: When set");
        assert_eq!(severity("CONFWARN", &about("enable.gapless.guarantee")), Level::DEBUG);
        assert_eq!(severity("CONFWARN", &about("group.remote.assignor")), Level::WARN);
        assert_eq!(severity("FAIL", "broker enable.gapless.guarantee"), Level::WARN);
        let no_id = |reason| {
            format!("[thrd:main]: Failed to acquire idempotence PID from broker b:9092/1: {reason}: retrying")
        };
        assert_eq!(severity("GETPID", &no_id("Broker: Coordinator load in progress")), Level::DEBUG);
        let replaced = no_id("Local: Broker handle destroyed without termination");
        assert_eq!(severity("GETPID", &replaced), Level::DEBUG);
        assert_eq!(severity("GETPID", &no_id("Broker: Cluster authorization failed")), Level::WARN);
    }
}
