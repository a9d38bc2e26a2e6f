//! Metrics of ordered readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use messagekit::log::{OrderedReaderState, OrderedReaderStats, OrderedStats};
use prometheus::proto::MetricType::{COUNTER, GAUGE};

use super::family::{Family, Values};
use super::names;

const LABELS: &[&str] = &["reader"];

pub(super) static FAMILIES: [Family; 9] = [
    Family { name: names::ORDERED_READER_RELEASED, help: "Records released", sort: COUNTER, labels: LABELS },
    Family {
        name: names::ORDERED_READER_LATE,
        help: "Records with a time that was passed already",
        sort: COUNTER,
        labels: LABELS,
    },
    Family {
        name: names::ORDERED_READER_AHEAD,
        help: "Records with a time far ahead of the clock",
        sort: COUNTER,
        labels: LABELS,
    },
    Family {
        name: names::ORDERED_READER_DELETED,
        help: "Offsets deleted before they were read",
        sort: COUNTER,
        labels: LABELS,
    },
    Family {
        name: names::ORDERED_READER_HELD,
        help: "Records read and not released",
        sort: GAUGE,
        labels: LABELS,
    },
    Family { name: names::ORDERED_READER_HELD_BYTES, help: "Bytes of them", sort: GAUGE, labels: LABELS },
    Family {
        name: names::ORDERED_READER_PAUSED_PARTITIONS,
        help: "Partitions not read for now",
        sort: GAUGE,
        labels: LABELS,
    },
    Family {
        name: names::ORDERED_READER_LIVE,
        help: "1 when all of the past is released",
        sort: GAUGE,
        labels: LABELS,
    },
    Family {
        name: names::ORDERED_READER_LAG,
        help: "Offsets of the past that are not released",
        sort: GAUGE,
        labels: &["reader", "topic"],
    },
];

/// Reads the statistics of readers. Those of one name are summed; they are live when all are.
pub(super) fn read(readers: &BTreeMap<String, Vec<OrderedStats>>) -> [Values; 9] {
    let mut values = FAMILIES.each_ref().map(Family::values);
    for (name, watched) in readers {
        let stats: Vec<_> = watched.iter().map(OrderedStats::read).collect();
        let counts: [fn(&OrderedReaderStats) -> u64; 4] =
            [|stats| stats.released, |stats| stats.late, |stats| stats.ahead, |stats| stats.deleted];
        for (values, of) in values.iter_mut().zip(counts) {
            values.add(&[name], stats.iter().map(of).sum::<u64>() as f64);
        }
        let open: Vec<_> = stats.iter().filter_map(|stats| stats.state.as_ref()).collect();
        if !open.is_empty() {
            let [_, _, _, _, of_states @ ..] = &mut values;
            add_states(of_states, name, &open);
        }
    }
    values
}

fn add_states([held, bytes, paused, live, lag]: &mut [Values; 5], name: &str, open: &[&OrderedReaderState]) {
    let sum = |of: fn(&OrderedReaderState) -> u64| open.iter().map(|state| of(state)).sum::<u64>() as f64;
    held.add(&[name], sum(|state| state.held));
    bytes.add(&[name], sum(|state| state.held_bytes));
    paused.add(&[name], sum(|state| state.paused_partitions));
    live.add(&[name], f64::from(u8::from(open.iter().all(|state| state.is_live))));
    let mut lags: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
    for (topic, offsets) in open.iter().flat_map(|state| &state.lag) {
        *lags.entry(topic).or_default() += offsets;
    }
    lags.into_iter().for_each(|(topic, offsets)| lag.add(&[name, topic], offsets as f64));
}
