//! Metrics that are computed when Prometheus reads them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::names;
use crate::Stats;
use crate::failed_messages::FailedMessageTotal;
use crate::outbox_health::OutboxLag;

/// Watched consumers and the last known values of databases.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    families: Arc<[Desc]>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    consumers: BTreeMap<String, Vec<Stats>>,
    databases: BTreeMap<String, Database>,
}

/// Last known values of one database.
#[derive(Debug, Default)]
pub(super) struct Database {
    up: bool,
    pub(super) lag: Option<OutboxLag>,
    pub(super) failed_messages: Vec<FailedMessageTotal>,
}

/// Name, help, type and labels of the families, in the order of `collect`.
const FAMILIES: [(&str, &str, MetricType, &[&str]); 10] = [
    (
        names::CONSUMER_HANDLED,
        "Messages by what became of them",
        MetricType::COUNTER,
        &["consumer", "outcome"],
    ),
    (names::CONSUMER_BATCHES, "Transactions by their end", MetricType::COUNTER, &["consumer", "outcome"]),
    (names::CONSUMER_BLOCKED_LANES, "Lanes that wait for one message", MetricType::GAUGE, &["consumer"]),
    (
        names::CONSUMER_WINDOW_SHORT,
        "1 while older messages than the window's may come back",
        MetricType::GAUGE,
        &["consumer"],
    ),
    (names::CONSUMER_HANDLE_SECONDS, "Time inside handlers", MetricType::HISTOGRAM, &["consumer"]),
    (names::OUTBOX_PENDING, "Events that have not provably left", MetricType::GAUGE, &["database"]),
    (names::OUTBOX_OVERDUE, "Pending events older than 10 s", MetricType::GAUGE, &["database"]),
    (names::OUTBOX_OLDEST_SECONDS, "Age of the oldest pending event", MetricType::GAUGE, &["database"]),
    (
        names::FAILED_MESSAGES,
        "Failed messages that are kept",
        MetricType::GAUGE,
        &["database", "consumer", "state"],
    ),
    (names::DATABASE_UP, "1 when the database answered last", MetricType::GAUGE, &["database"]),
];

impl Watched {
    pub(super) fn new() -> prometheus::Result<Self> {
        let describe = |(name, help, _, labels): (&str, &str, MetricType, &[&str])| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())
        };
        let families: prometheus::Result<Vec<Desc>> = FAMILIES.into_iter().map(describe).collect();
        Ok(Self { families: families?.into(), known: Arc::default() })
    }

    pub(super) fn consumer(&self, name: &str, stats: Stats) {
        self.known().consumers.entry(name.to_owned()).or_default().push(stats);
    }

    pub(super) fn database(&self, name: &str, learned: impl FnOnce(&mut Database)) {
        let mut known = self.known();
        let database = known.databases.entry(name.to_owned()).or_default();
        database.up = true;
        learned(database);
    }

    pub(super) fn lost(&self, name: &str) {
        self.known().databases.insert(name.to_owned(), Database::default());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic cannot leave these values inconsistent.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Watched {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let known = self.known();
        let mut figures: [Vec<Metric>; FAMILIES.len()] = Default::default();
        let [handled, batches, blocked, short, seconds, pending, overdue, oldest, failed_messages, up] =
            &mut figures;
        for (name, watched) in &known.consumers {
            let stats: Vec<_> = watched.iter().map(Stats::read).collect();
            let count = |to: &mut Vec<Metric>, outcome, of: fn(&crate::ConsumerStats) -> u64| {
                let total = stats.iter().map(of).sum::<u64>();
                to.push(counter(&[("consumer", name), ("outcome", outcome)], total));
            };
            count(handled, "handled", |stats| stats.handled);
            count(handled, "duplicate", |stats| stats.duplicates);
            count(handled, "ignored", |stats| stats.ignored);
            count(handled, "set_aside", |stats| stats.set_aside);
            count(handled, "dead", |stats| stats.dead);
            count(handled, "parked", |stats| stats.parked);
            count(batches, "committed", |stats| stats.batches);
            count(batches, "rolled_back", |stats| stats.rolled_back);
            let lanes = watched.iter().map(|stats| stats.connection().blocked).sum::<u64>();
            blocked.push(gauge(&[("consumer", name)], lanes as f64));
            let is_short = watched.iter().any(|stats| !stats.outside_window().is_empty());
            short.push(gauge(&[("consumer", name)], f64::from(u8::from(is_short))));
            seconds.push(times(&[("consumer", name)], watched));
        }
        for (name, database) in &known.databases {
            let here = [("database", &**name)];
            up.push(gauge(&here, f64::from(u8::from(database.up))));
            if let Some(lag) = &database.lag {
                pending.push(gauge(&here, lag.pending as f64));
                overdue.push(gauge(&here, lag.overdue as f64));
                oldest.push(gauge(&here, lag.oldest.unwrap_or_default().as_secs_f64()));
            }
            for total in &database.failed_messages {
                let labels = [here[0], ("consumer", &*total.consumer), ("state", total.state.as_str())];
                failed_messages.push(gauge(&labels, total.failed_messages as f64));
            }
        }
        let families = FAMILIES.into_iter().zip(figures);
        // Prometheus cannot encode a family without metrics.
        let families = families.filter(|(_, figures)| !figures.is_empty());
        families.map(|((name, help, sort, _), figures)| family(name, help, sort, figures)).collect()
    }
}

fn family(name: &str, help: &str, sort: MetricType, figures: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(sort);
    family.set_metric(figures);
    family
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

fn counter(labels: &[(&str, &str)], value: u64) -> Metric {
    let (mut metric, mut counter) = (labelled(labels), Counter::default());
    counter.set_value(value as f64);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let (mut metric, mut gauge) = (labelled(labels), Gauge::default());
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

/// Sums the handler times of consumers with the same name.
fn times(labels: &[(&str, &str)], watched: &[Stats]) -> Metric {
    let parts: Vec<Histogram> = watched.iter().map(Stats::handle_seconds).collect();
    let mut whole = Histogram::default();
    whole.set_sample_count(parts.iter().map(Histogram::get_sample_count).sum());
    whole.set_sample_sum(parts.iter().map(Histogram::get_sample_sum).sum());
    let bucket = |(index, bound): (usize, &f64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        let count = |part: &Histogram| part.get_bucket().get(index).map_or(0, Bucket::cumulative_count);
        bucket.set_cumulative_count(parts.iter().map(count).sum());
        bucket
    };
    whole.set_bucket(super::SECONDS.iter().enumerate().map(bucket).collect());
    let mut metric = labelled(labels);
    metric.set_histogram(whole);
    metric
}
