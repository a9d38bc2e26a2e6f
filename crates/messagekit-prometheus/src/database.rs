//! Metrics of databases: outbox, failed messages, and how far consumers are.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::operations::{
    ConsumerStatus, FailedMessageTotal, LagPart, OutboxLag, SourceState, UnhandledMessages,
};
use prometheus::proto::MetricType::GAUGE;

use super::family::{Family, Values};
use super::names;

/// Last known values of one database.
#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) up: bool,
    pub(super) lag: Option<OutboxLag>,
    pub(super) failed_messages: Vec<FailedMessageTotal>,
    pub(super) consumers: Vec<Waiting>,
    pub(super) sources: Vec<SourceState>,
}

/// What waits at a consumer.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    consumer: String,
    retries_due: u64,
    blocked_keys: u64,
    oldest_failed_at: Option<Timestamp>,
    /// How far it is, by topic.
    records: BTreeMap<Arc<str>, Records>,
    unhandled: Vec<UnhandledMessages>,
}

/// The records of a topic of the database, in all its partitions.
#[derive(Clone, Copy, Debug, Default)]
struct Records {
    behind: u64,
    reached: i64,
}

impl Waiting {
    pub(super) fn of(status: &ConsumerStatus) -> Self {
        let mut records = BTreeMap::<Arc<str>, Records>::new();
        for position in &status.positions {
            let Some(behind) = position.behind else { continue };
            let of_topic = records.entry(Arc::clone(&position.topic)).or_default();
            of_topic.behind = of_topic.behind.saturating_add(behind);
            of_topic.reached = of_topic.reached.saturating_add(position.next);
        }
        Self {
            consumer: status.consumer.clone(),
            retries_due: status.retries_due,
            blocked_keys: status.blocked_keys,
            oldest_failed_at: status.oldest_failed_at,
            records,
            unhandled: status.unhandled.clone(),
        }
    }

    /// Returns the age of the oldest failed message now, zero without one: the series must not end when it is repaired.
    fn oldest_seconds(&self, now: Timestamp) -> f64 {
        self.oldest_failed_at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0))
    }
}

pub(super) static FAMILIES: [Family; 13] = [
    Family {
        name: names::OUTBOX_PENDING,
        help: "Events that are not proven to be published, at most 10000",
        sort: GAUGE,
        labels: &["database"],
    },
    Family {
        name: names::OUTBOX_OVERDUE,
        help: "Pending events older than 10 s, at most 10000",
        sort: GAUGE,
        labels: &["database"],
    },
    Family {
        name: names::OUTBOX_OLDEST_SECONDS,
        help: "Age of the oldest pending event",
        sort: GAUGE,
        labels: &["database"],
    },
    Family {
        name: names::OUTBOX_SLOT_BYTES,
        help: "Bytes of the log that the replication slot has not confirmed",
        sort: GAUGE,
        labels: &["database"],
    },
    Family {
        name: names::FAILED_MESSAGES,
        help: "Failed messages in the database",
        sort: GAUGE,
        labels: &["database", "consumer", "state"],
    },
    Family {
        name: names::FAILED_MESSAGE_OLDEST_SECONDS,
        help: "Age of the oldest open failed message",
        sort: GAUGE,
        labels: &["database", "consumer"],
    },
    Family {
        name: names::RETRIES_DUE,
        help: "Failed messages whose retry is due and has not run, at most 10000",
        sort: GAUGE,
        labels: &["database", "consumer"],
    },
    Family {
        name: names::BLOCKED_KEYS,
        help: "Keys that a failed message blocks, at most 10000",
        sort: GAUGE,
        labels: &["database", "consumer"],
    },
    Family {
        name: names::RECORDS_BEHIND,
        help: "Records of a topic of the database behind the offset that a consumer has reached",
        sort: GAUGE,
        labels: &["database", "consumer", "topic"],
    },
    Family {
        name: names::RECORDS_REACHED,
        help: "Sum of the offsets that a consumer has reached in the partitions of a topic of the database",
        sort: GAUGE,
        labels: &["database", "consumer", "topic"],
    },
    Family {
        name: names::UNHANDLED_MESSAGES,
        help: "Messages that a consumer has passed over because it had no handler for their type",
        sort: GAUGE,
        labels: &["database", "consumer", "topic", "event_type", "similar"],
    },
    Family {
        name: names::TABLE_SOURCE_FAULTY,
        help: "1 while a table source makes no events, or wrong ones",
        sort: GAUGE,
        labels: &["database", "topic", "table"],
    },
    Family {
        name: names::DATABASE_UP,
        help: "1 if the database answered anything last",
        sort: GAUGE,
        labels: &["database"],
    },
];

pub(super) fn read(databases: &BTreeMap<String, Database>) -> [Values; 13] {
    let [
        mut pending,
        mut overdue,
        mut oldest,
        mut slot,
        mut failed_messages,
        mut oldest_failed,
        mut due,
        mut blocked,
        mut behind,
        mut reached,
        mut unhandled,
        mut faulty,
        mut up,
    ] = FAMILIES.each_ref().map(Family::values);
    let now = Timestamp::now();
    for (name, database) in databases {
        up.add(&[name], f64::from(u8::from(database.up)));
        if let Some(lag) = &database.lag {
            if lag.is_known(LagPart::Pending) {
                pending.add(&[name], lag.pending as f64);
                overdue.add(&[name], lag.overdue as f64);
                oldest.add(&[name], lag.oldest.unwrap_or_default().as_secs_f64());
            }
            lag.slot_bytes.into_iter().for_each(|bytes| slot.add(&[name], bytes as f64));
        }
        for total in &database.failed_messages {
            let labels = [name, &*total.consumer, total.state.as_str()];
            failed_messages.add(&labels, total.failed_messages as f64);
        }
        for waiting in &database.consumers {
            let labels = [name.as_str(), &*waiting.consumer];
            oldest_failed.add(&labels, waiting.oldest_seconds(now));
            due.add(&labels, waiting.retries_due as f64);
            blocked.add(&labels, waiting.blocked_keys as f64);
            for (topic, records) in &waiting.records {
                let labels = [name.as_str(), &*waiting.consumer, &**topic];
                behind.add(&labels, records.behind as f64);
                reached.add(&labels, records.reached as f64);
            }
            for of in &waiting.unhandled {
                let similar = of.similar.join(", ");
                let labels = [name.as_str(), &*waiting.consumer, &*of.topic, &*of.event_type, &*similar];
                unhandled.add(&labels, of.messages as f64);
            }
        }
        for source in &database.sources {
            let labels = [name.as_str(), &*source.topic, &*source.table];
            faulty.add(&labels, f64::from(u8::from(source.fault.is_some())));
        }
    }
    [
        pending,
        overdue,
        oldest,
        slot,
        failed_messages,
        oldest_failed,
        due,
        blocked,
        behind,
        reached,
        unhandled,
        faulty,
        up,
    ]
}
