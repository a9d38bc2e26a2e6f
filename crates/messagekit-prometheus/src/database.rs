//! Metrics of databases: outbox and failed messages.

use std::collections::BTreeMap;

use messagekit::operations::{FailedMessageTotal, OutboxLag};
use prometheus::proto::MetricType::GAUGE;

use super::family::{Family, Values};
use super::names;

/// Last known values of one database.
#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) up: bool,
    pub(super) lag: Option<OutboxLag>,
    pub(super) failed_messages: Vec<FailedMessageTotal>,
}

pub(super) static FAMILIES: [Family; 5] = [
    Family {
        name: names::OUTBOX_PENDING,
        help: "Events that are not proven to be published",
        sort: GAUGE,
        labels: &["database"],
    },
    Family {
        name: names::OUTBOX_OVERDUE,
        help: "Pending events older than 10 s",
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
        name: names::FAILED_MESSAGES,
        help: "Failed messages in the database",
        sort: GAUGE,
        labels: &["database", "consumer", "state"],
    },
    Family {
        name: names::DATABASE_UP,
        help: "1 if the database answered last",
        sort: GAUGE,
        labels: &["database"],
    },
];

pub(super) fn read(databases: &BTreeMap<String, Database>) -> [Values; 5] {
    let [mut pending, mut overdue, mut oldest, mut failed_messages, mut up] =
        FAMILIES.each_ref().map(Family::values);
    for (name, database) in databases {
        up.add(&[name], f64::from(u8::from(database.up)));
        if let Some(lag) = &database.lag {
            pending.add(&[name], lag.pending as f64);
            overdue.add(&[name], lag.overdue as f64);
            oldest.add(&[name], lag.oldest.unwrap_or_default().as_secs_f64());
        }
        for total in &database.failed_messages {
            let labels = [name, &*total.consumer, total.state.as_str()];
            failed_messages.add(&labels, total.failed_messages as f64);
        }
    }
    [pending, overdue, oldest, failed_messages, up]
}
