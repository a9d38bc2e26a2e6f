//! Metrics of relays.

use std::collections::BTreeMap;

use messagekit::relay::{RelayStats, Stats};
use prometheus::proto::MetricType::{COUNTER, GAUGE, HISTOGRAM};

use super::family::{Family, Values};
use super::names;

const LABELS: &[&str] = &["relay"];

pub(super) static FAMILIES: [Family; 7] = [
    Family { name: names::RELAY_PUBLISHED, help: "Events confirmed", sort: COUNTER, labels: LABELS },
    Family {
        name: names::RELAY_REJECTED,
        help: "Events rejected permanently",
        sort: COUNTER,
        labels: LABELS,
    },
    Family { name: names::RELAY_REPEATED, help: "Repeated publishes", sort: COUNTER, labels: LABELS },
    Family { name: names::RELAY_UNCONFIRMED, help: "Events in flight", sort: GAUGE, labels: LABELS },
    Family { name: names::RELAY_SHARDS, help: "Shards of the outbox held", sort: GAUGE, labels: LABELS },
    Family {
        name: names::RELAY_PAUSED_TOPICS,
        help: "Topics that the broker does not accept",
        sort: GAUGE,
        labels: LABELS,
    },
    Family {
        name: names::RELAY_PUBLISH_SECONDS,
        help: "Time from sending a batch to its answers",
        sort: HISTOGRAM,
        labels: LABELS,
    },
];

pub(super) fn read(relays: &BTreeMap<String, Vec<Stats>>) -> [Values; 7] {
    let mut values = FAMILIES.each_ref().map(Family::values);
    for (name, watched) in relays {
        let stats: Vec<_> = watched.iter().map(Stats::read).collect();
        let counts: [fn(&RelayStats) -> u64; 6] = [
            |stats| stats.published,
            |stats| stats.rejected,
            |stats| stats.repeated,
            |stats| stats.unconfirmed,
            |stats| stats.shards,
            |stats| stats.paused.len() as u64,
        ];
        let [of_counts @ .., seconds] = &mut values;
        for (values, of) in of_counts.iter_mut().zip(counts) {
            values.add(&[name], stats.iter().map(of).sum::<u64>() as f64);
        }
        let times: Vec<_> = watched.iter().map(Stats::publish_times).collect();
        seconds.add_histograms(&[name], &times);
    }
    values
}
