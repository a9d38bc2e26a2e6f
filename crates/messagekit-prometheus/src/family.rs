//! Metric families as Prometheus reads them.

use messagekit::operations::HistogramCounts;
use prometheus::HistogramOpts;
use prometheus::core::Desc;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// Name, help, type and labels of a family whose values are read when Prometheus scrapes them.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) sort: MetricType,
    pub(super) labels: &'static [&'static str],
}

/// A family with its values.
pub(super) struct Values {
    family: &'static Family,
    metrics: Vec<Metric>,
}

/// Returns the options of a histogram with the common buckets.
pub(super) fn durations(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(HistogramCounts::second_bounds())
}

impl Family {
    pub(super) fn describe(&self) -> prometheus::Result<Desc> {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, Default::default())
    }

    pub(super) fn values(&'static self) -> Values {
        Values { family: self, metrics: Vec::new() }
    }
}

impl Values {
    /// Adds the value of a counter or a gauge; `labels` are the values of the family's labels.
    pub(super) fn add(&mut self, labels: &[&str], value: f64) {
        let mut metric = self.labelled(labels);
        if self.family.sort == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// Adds the sum of several histograms of the same buckets.
    pub(super) fn add_histograms(&mut self, labels: &[&str], parts: &[HistogramCounts]) {
        let Some(first) = parts.first() else { return };
        let mut whole = Histogram::default();
        whole.set_sample_count(parts.iter().map(|part| part.count).sum());
        whole.set_sample_sum(parts.iter().map(|part| part.sum).sum());
        let bucket = |(index, (bound, _)): (usize, &(f64, u64))| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(parts.iter().map(|part| part.up_to[index].1).sum());
            bucket
        };
        whole.set_bucket(first.up_to.iter().enumerate().map(bucket).collect());
        let mut metric = self.labelled(labels);
        metric.set_histogram(whole);
        self.metrics.push(metric);
    }

    /// Returns the family for Prometheus, which cannot encode one without values.
    pub(super) fn finish(self) -> Option<MetricFamily> {
        if self.metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(self.family.sort);
        family.set_metric(self.metrics);
        Some(family)
    }

    fn labelled(&self, values: &[&str]) -> Metric {
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        Metric::from_label(self.family.labels.iter().zip(values).map(pair).collect())
    }
}
