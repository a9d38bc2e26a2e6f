//! Metrics of ordered readers.

use std::collections::BTreeMap;

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

/// Reads the statistics of readers. Those of one name are counted together.
pub(super) fn read(readers: &BTreeMap<String, Vec<OrderedStats>>) -> [Values; 9] {
    let mut values = FAMILIES.each_ref().map(Family::values);
    for (name, watched) in readers {
        let Some(stats) = watched.iter().map(OrderedStats::read).reduce(OrderedReaderStats::beside) else {
            continue;
        };
        let [released, late, ahead, deleted, of_state @ ..] = &mut values;
        released.add(&[name], stats.released as f64);
        late.add(&[name], stats.late as f64);
        ahead.add(&[name], stats.ahead as f64);
        deleted.add(&[name], stats.deleted as f64);
        if let Some(state) = &stats.state {
            add_state(of_state, name, state);
        }
    }
    values
}

fn add_state([held, bytes, paused, live, lag]: &mut [Values; 5], name: &str, state: &OrderedReaderState) {
    held.add(&[name], state.held as f64);
    bytes.add(&[name], state.held_bytes as f64);
    paused.add(&[name], state.paused_partitions as f64);
    live.add(&[name], f64::from(u8::from(state.is_live)));
    for (topic, offsets) in &state.lag {
        lag.add(&[name, topic], *offsets as f64);
    }
}
