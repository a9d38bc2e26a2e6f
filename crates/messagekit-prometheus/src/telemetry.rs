//! Metrics of the export of traces.

use messagekit::adapter::telemetry;
use prometheus::proto::MetricType::COUNTER;

use super::family::{Family, Values};
use super::names;

pub(super) static FAMILIES: [Family; 1] = [Family {
    name: names::TELEMETRY_SPANS,
    help: "Finished spans by outcome",
    sort: COUNTER,
    labels: &["outcome"],
}];

pub(super) fn read() -> [Values; 1] {
    let [mut spans] = FAMILIES.each_ref().map(Family::values);
    if let Some(counts) = telemetry().map(|telemetry| telemetry.spans()) {
        spans.add(&["exported"], counts.exported as f64);
        spans.add(&["failed"], counts.failed as f64);
        spans.add(&["dropped"], counts.dropped as f64);
    }
    [spans]
}
