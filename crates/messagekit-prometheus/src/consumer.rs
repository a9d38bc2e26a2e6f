//! Metrics of consumers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use messagekit::Stats;
use messagekit::adapter::FailureKind;
use messagekit::consumer::ConsumerStats;
use prometheus::proto::MetricType::{COUNTER, GAUGE, HISTOGRAM};

use super::family::{Family, Values};
use super::names;

pub(super) static FAMILIES: [Family; 11] = [
    Family {
        name: names::CONSUMER_HANDLED,
        help: "Messages by outcome",
        sort: COUNTER,
        labels: &["consumer", "outcome"],
    },
    Family {
        name: names::CONSUMER_FAILURES,
        help: "Failures of messages by kind",
        sort: COUNTER,
        labels: &["consumer", "kind"],
    },
    Family {
        name: names::CONSUMER_BATCHES,
        help: "Transactions by outcome",
        sort: COUNTER,
        labels: &["consumer", "outcome"],
    },
    Family {
        name: names::CONSUMER_BLOCKED_LANES,
        help: "Lanes that wait for one message",
        sort: GAUGE,
        labels: &["consumer"],
    },
    Family {
        name: names::CONSUMER_WINDOW_SHORT,
        help: "1 while messages older than the dedup window may be redelivered",
        sort: GAUGE,
        labels: &["consumer"],
    },
    Family {
        name: names::CONSUMER_LAG,
        help: "Messages that are not settled, of owned partitions",
        sort: GAUGE,
        labels: &["consumer", "topic", "partition"],
    },
    Family {
        name: names::CONSUMER_LAG_SECONDS,
        help: "Age of the oldest message that is not settled",
        sort: GAUGE,
        labels: &["consumer", "topic", "partition"],
    },
    Family {
        name: names::CONSUMER_HANDLERS_IN_FLIGHT,
        help: "Handler runs that have not ended",
        sort: GAUGE,
        labels: &["consumer"],
    },
    Family {
        name: names::CONSUMER_ASSIGNMENTS,
        help: "Partitions and queues that were assigned",
        sort: COUNTER,
        labels: &["consumer"],
    },
    Family {
        name: names::CONSUMER_MESSAGE_BYTES,
        help: "Payload bytes of handled messages",
        sort: HISTOGRAM,
        labels: &["consumer"],
    },
    Family {
        name: names::CONSUMER_HANDLE_SECONDS,
        help: "Time inside handlers",
        sort: HISTOGRAM,
        labels: &["consumer"],
    },
];

pub(super) fn read(consumers: &BTreeMap<String, Vec<Stats>>) -> [Values; 11] {
    let [
        mut handled,
        mut failures,
        mut batches,
        mut blocked,
        mut short,
        mut lag,
        mut ages,
        mut runs,
        mut assigned,
        mut sizes,
        mut seconds,
    ] = FAMILIES.each_ref().map(Family::values);
    for (name, watched) in consumers {
        let stats: Vec<_> = watched.iter().map(Stats::read).collect();
        let count = |to: &mut Values, outcome, of: fn(&ConsumerStats) -> u64| {
            to.add(&[name, outcome], stats.iter().map(of).sum::<u64>() as f64);
        };
        count(&mut handled, "handled", |stats| stats.handled);
        count(&mut handled, "duplicate", |stats| stats.duplicates);
        count(&mut handled, "ignored", |stats| stats.ignored);
        count(&mut handled, "set_aside", |stats| stats.set_aside);
        count(&mut handled, "dead", |stats| stats.dead);
        count(&mut handled, "parked", |stats| stats.parked);
        for (kind, number) in failures_of(watched) {
            failures.add(&[name, kind], number as f64);
        }
        count(&mut batches, "committed", |stats| stats.batches);
        count(&mut batches, "rolled_back", |stats| stats.rolled_back);
        let lanes = watched.iter().map(|stats| stats.connection().blocked).sum::<u64>();
        blocked.add(&[name], lanes as f64);
        let is_short = watched.iter().any(|stats| !stats.outside_window().is_empty());
        short.add(&[name], f64::from(u8::from(is_short)));
        for ((topic, partition), (messages, oldest)) in lags(watched) {
            let partition = partition.map_or_else(String::new, |partition| partition.to_string());
            lag.add(&[name, &topic, &partition], messages as f64);
            ages.add(&[name, &topic, &partition], oldest.as_secs_f64());
        }
        runs.add(&[name], watched.iter().map(Stats::handlers_in_flight).sum::<u64>() as f64);
        assigned.add(&[name], watched.iter().map(Stats::assignments).sum::<u64>() as f64);
        sizes.add_histograms(&[name], &watched.iter().map(Stats::message_sizes).collect::<Vec<_>>());
        let times: Vec<_> = watched.iter().map(Stats::handler_times).collect();
        seconds.add_histograms(&[name], &times);
    }
    [handled, failures, batches, blocked, short, lag, ages, runs, assigned, sizes, seconds]
}

/// Returns the failures of the consumers of one name by kind. A kind without one is 0: a counter that begins with its first failure has
/// not increased.
fn failures_of(watched: &[Stats]) -> BTreeMap<&'static str, u64> {
    let mut failures: BTreeMap<_, _> = FailureKind::ALL.iter().map(|kind| (kind.as_str(), 0)).collect();
    for (kind, number) in watched.iter().flat_map(Stats::failures) {
        *failures.entry(kind.as_str()).or_insert(0) += number;
    }
    failures
}

/// Returns messages and age by topic and partition. Several members of this process may read one queue.
fn lags(watched: &[Stats]) -> BTreeMap<(Arc<str>, Option<i32>), (u64, Duration)> {
    let mut lags = BTreeMap::new();
    for lag in watched.iter().flat_map(Stats::lag) {
        let (messages, oldest) = lags.entry((lag.topic, lag.partition)).or_insert((0, Duration::ZERO));
        *messages += lag.messages;
        *oldest = lag.oldest.max(*oldest);
    }
    lags
}
