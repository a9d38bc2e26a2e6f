//! The content of a registry as a request of OTLP (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as AnyOf,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::Resource as Described;
use prometheus::proto::{self, MetricFamily, MetricType};

/// Units by the ends of names, as Prometheus writes them and as OTLP does (<https://ucum.org>).
const UNITS: [(&str, &str); 2] = [("_seconds", "s"), ("_bytes", "By")];

/// Who counts, and since when.
pub(super) struct Origin {
    resource: Resource,
    start: u64,
}

/// The labels and times of a value.
struct Point {
    attributes: Vec<KeyValue>,
    start_time_unix_nano: u64,
    time_unix_nano: u64,
}

impl Origin {
    pub(super) fn new(resource: &Described, start: SystemTime) -> Self {
        let attributes = resource.iter().map(|(name, value)| attribute(name.as_str(), &value.as_str()));
        let resource = Resource { attributes: attributes.collect(), ..Resource::default() };
        Self { resource, start: nanoseconds(start) }
    }

    /// Returns the request with all metrics as they were at a time.
    pub(super) fn request(&self, families: &[MetricFamily], now: SystemTime) -> ExportMetricsServiceRequest {
        // The clock may have been set back since the start.
        let now = nanoseconds(now).max(self.start);
        let scope = InstrumentationScope {
            name: "messagekit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let metrics = families.iter().filter_map(|family| self.metric(family, now)).collect();
        let metrics = ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() };
        let all = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![metrics],
            schema_url: String::new(),
        };
        ExportMetricsServiceRequest { resource_metrics: vec![all] }
    }

    fn metric(&self, family: &MetricFamily, now: u64) -> Option<Metric> {
        let of_each = family.get_metric().iter().map(|metric| (self.point(metric, now), metric));
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                data_points: of_each
                    .map(|(at, metric)| at.number(metric.get_counter().get_value()))
                    .collect(),
                aggregation_temporality,
                is_monotonic: true,
            }),
            MetricType::HISTOGRAM => Data::Histogram(Histogram {
                data_points: of_each.map(|(at, metric)| at.histogram(metric.get_histogram())).collect(),
                aggregation_temporality,
            }),
            MetricType::SUMMARY => Data::Summary(Summary {
                data_points: of_each.map(|(at, metric)| at.summary(metric.get_summary())).collect(),
            }),
            MetricType::GAUGE => Data::Gauge(Gauge {
                data_points: of_each.map(|(at, metric)| at.number(metric.get_gauge().get_value())).collect(),
            }),
            // No metric of the `prometheus` crate is made so.
            MetricType::UNTYPED => return None,
        };
        let name = family.name();
        let unit = UNITS.iter().find(|(end, _)| name.trim_end_matches("_total").ends_with(end));
        Some(Metric {
            name: name.to_owned(),
            description: family.help().to_owned(),
            unit: unit.map_or("", |(_, unit)| unit).to_owned(),
            data: Some(data),
            ..Metric::default()
        })
    }

    fn point(&self, metric: &proto::Metric, now: u64) -> Point {
        let labels = metric.get_label().iter();
        Point {
            attributes: labels.map(|label| attribute(label.name(), label.value())).collect(),
            start_time_unix_nano: self.start,
            time_unix_nano: now,
        }
    }
}

impl Point {
    fn number(self, value: f64) -> NumberDataPoint {
        let Self { attributes, start_time_unix_nano, time_unix_nano } = self;
        let value = Some(Value::AsDouble(value));
        NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            value,
            ..NumberDataPoint::default()
        }
    }

    /// Prometheus counts everything up to a bound, OTLP what is between two of them, the last of which has no end.
    fn histogram(self, histogram: &proto::Histogram) -> HistogramDataPoint {
        let Self { attributes, start_time_unix_nano, time_unix_nano } = self;
        let buckets = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
        let (bounds, mut counts): (Vec<f64>, Vec<u64>) =
            buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).unzip();
        counts.push(histogram.get_sample_count());
        let mut below = 0;
        for count in &mut counts {
            // A value may be counted between the looks at two buckets.
            let up_to = (*count).max(below);
            (*count, below) = (up_to - below, up_to);
        }
        HistogramDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count: below,
            sum: Some(histogram.get_sample_sum()),
            bucket_counts: counts,
            explicit_bounds: bounds,
            ..HistogramDataPoint::default()
        }
    }

    fn summary(self, summary: &proto::Summary) -> SummaryDataPoint {
        let Self { attributes, start_time_unix_nano, time_unix_nano } = self;
        let quantiles = summary.get_quantile().iter();
        let at = |it: &proto::Quantile| ValueAtQuantile { quantile: it.quantile(), value: it.value() };
        SummaryDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count: summary.sample_count(),
            sum: summary.sample_sum(),
            quantile_values: quantiles.map(at).collect(),
            ..SummaryDataPoint::default()
        }
    }
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(AnyOf::StringValue(value.to_owned())) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

    use super::*;
    use crate::resource::of_instance;

    fn exported(registry: &Registry) -> Vec<Metric> {
        exported_at(registry, 61)
    }

    /// The start is one second after 1970.
    fn exported_at(registry: &Registry, seconds: u64) -> Vec<Metric> {
        let start = UNIX_EPOCH + Duration::from_secs(1);
        let origin = Origin::new(&of_instance("orders"), start);
        let request = origin.request(&registry.gather(), UNIX_EPOCH + Duration::from_secs(seconds));
        let [of_process] = <[ResourceMetrics; 1]>::try_from(request.resource_metrics).unwrap();
        let [metrics] = <[ScopeMetrics; 1]>::try_from(of_process.scope_metrics).unwrap();
        metrics.metrics
    }

    #[test]
    fn a_counter_is_a_sum_since_the_start() {
        let registry = Registry::new();
        let counter =
            IntCounterVec::new(Opts::new("handled_total", "Handled messages"), &["consumer"]).unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        counter.with_label_values(&["billing"]).inc_by(3);
        let [metric] = <[Metric; 1]>::try_from(exported(&registry)).unwrap();
        assert_eq!(
            (&*metric.name, &*metric.description, &*metric.unit),
            ("handled_total", "Handled messages", "")
        );
        let Some(Data::Sum(sum)) = metric.data else { panic!("{:?}", metric.data) };
        assert!(sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
        let [point] = <[NumberDataPoint; 1]>::try_from(sum.data_points).unwrap();
        assert_eq!(point.value, Some(Value::AsDouble(3.0)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1_000_000_000, 61_000_000_000));
        assert_eq!(point.attributes, [attribute("consumer", "billing")]);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_no_value_before_it_begins() {
        let registry = Registry::new();
        let gauge = Gauge::new("waiting", "Waiting messages").unwrap();
        registry.register(Box::new(gauge)).unwrap();
        let [metric] = <[Metric; 1]>::try_from(exported_at(&registry, 0)).unwrap();
        let Some(Data::Gauge(gauge)) = metric.data else { panic!("{:?}", metric.data) };
        let times = |point: &NumberDataPoint| (point.start_time_unix_nano, point.time_unix_nano);
        assert_eq!(times(&gauge.data_points[0]), (1_000_000_000, 1_000_000_000));
    }

    #[test]
    fn buckets_of_a_histogram_are_those_between_its_bounds() {
        let registry = Registry::new();
        let opts = HistogramOpts::new("run_seconds", "Time of a run").buckets(vec![0.1, 1.0]);
        let histogram = HistogramVec::new(opts, &[]).unwrap();
        registry.register(Box::new(histogram.clone())).unwrap();
        for seconds in [0.05, 0.1, 0.5, 7.0] {
            histogram.with_label_values::<&str>(&[]).observe(seconds);
        }
        let [metric] = <[Metric; 1]>::try_from(exported(&registry)).unwrap();
        assert_eq!(metric.unit, "s");
        let Some(Data::Histogram(histogram)) = metric.data else { panic!("{:?}", metric.data) };
        let [point] = <[HistogramDataPoint; 1]>::try_from(histogram.data_points).unwrap();
        assert_eq!((point.count, point.sum), (4, Some(7.65)));
        assert_eq!((point.explicit_bounds, point.bucket_counts), (vec![0.1, 1.0], vec![2, 1, 1]));
    }

    #[test]
    fn a_gauge_is_what_it_is_now() {
        let registry = Registry::new();
        let gauge = Gauge::new("kept_bytes", "Size").unwrap();
        registry.register(Box::new(gauge.clone())).unwrap();
        gauge.set(-0.5);
        let [metric] = <[Metric; 1]>::try_from(exported(&registry)).unwrap();
        assert_eq!(metric.unit, "By");
        let Some(Data::Gauge(gauge)) = metric.data else { panic!("{:?}", metric.data) };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(-0.5)));
    }

    #[test]
    fn each_process_counts_for_itself() {
        let id = |resource: &Described| {
            let found = resource.iter().find(|(name, _)| name.as_str() == "service.instance.id");
            found.unwrap().1.as_str().into_owned()
        };
        assert_ne!(id(&of_instance("orders")), id(&of_instance("orders")));
    }
}
