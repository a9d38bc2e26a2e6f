//! What librdkafka calls back: everything is noted, nothing is done.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tracing::Level;

use crate::contact::Contact;

/// What the group wants of this member, waiting to be answered.
#[derive(Debug)]
pub(crate) enum Rebalance {
    Assign(TopicPartitionList),
    /// `lost` says that others may own the partitions already.
    Revoke {
        partitions: TopicPartitionList,
        lost: bool,
    },
}

/// Notes what happens while the consumer is polled, for the thread that polls it.
#[derive(Debug, Default)]
pub(crate) struct Context {
    rebalances: Mutex<VecDeque<Rebalance>>,
    reason: Mutex<String>,
    /// Nobody answers any more: a close would wait for ever.
    closing: AtomicBool,
    events: AtomicU64,
    contact: Mutex<Contact>,
}

impl Context {
    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// From now on rebalances are answered as they come.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Returns how many callbacks there were: polling says nothing about them.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns what librdkafka said about its last error.
    pub(crate) fn reason(&self) -> String {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether the client is in contact with its group, as it said last.
    pub(crate) fn contact(&self) -> Contact {
        *self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tells librdkafka that the partitions are taken or given up.
///
/// # Errors
/// As librdkafka says; a consumer that is being closed refuses.
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

/// Says whether only what changes hands is assigned and revoked.
pub(crate) fn is_cooperative(consumer: &BaseConsumer<Context>) -> bool {
    matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

/// Returns those of the partitions that were taken: of others librdkafka refuses the whole list.
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

/// Passes a line of librdkafka on. What it calls an error comes as an event too, and is logged there.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match severity(level, facility, text) {
        Level::ERROR => tracing::error!(target: "librdkafka", facility, "{text}"),
        Level::WARN => tracing::warn!(target: "librdkafka", facility, "{text}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{text}"),
    }
}

/// Warnings of a healthy client, by facility and a part of the text.
const ACCEPTED: [(&str, &str); 2] = [
    // Every producer with the gapless guarantee gets this one. This crate sets the property, and a user cannot change it.
    ("CONFWARN", "property enable.gapless.guarantee is experimental"),
    // A broker that has just started says so to its first producers, which ask again. Where it lasts, publishing fails and says so.
    ("GETPID", "Coordinator load in progress: retrying"),
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

/// Passes the statistics on that a user asked for with `statistics.interval.ms`.
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
            format!(
                "[thrd:main]: Failed to acquire idempotence PID from broker b:9092/1: Broker: {reason}: retrying"
            )
        };
        assert_eq!(severity("GETPID", &no_id("Coordinator load in progress")), Level::DEBUG);
        assert_eq!(severity("GETPID", &no_id("Cluster authorization failed")), Level::WARN);
    }
}
