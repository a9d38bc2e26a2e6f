//! What is counted while a reader is read.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::Record;

use super::order::Order;
use super::report::Report;
use super::trace::Trace;

/// Counts, times and the check of one run.
#[derive(Debug)]
pub(super) struct Measuring {
    batch_size: usize,
    order: Order,
    trace: Trace,
    records: u64,
    bytes: u64,
    batches: u64,
    largest_batch: usize,
    first_batch: Option<Duration>,
    live: Option<Duration>,
}

impl Measuring {
    pub(super) fn new(batch_size: usize, order: Order, trace: Trace) -> Self {
        Self {
            batch_size,
            order,
            trace,
            records: 0,
            bytes: 0,
            batches: 0,
            largest_batch: 0,
            first_batch: None,
            live: None,
        }
    }

    /// Takes in the answer of a poll, so long after the start. `is_live` is what the reader says behind it.
    pub(super) fn polled(&mut self, batch: &[Record], after: Duration, is_live: bool) {
        if is_live {
            self.live.get_or_insert(after);
        }
        if batch.is_empty() {
            return;
        }
        self.first_batch.get_or_insert(after);
        self.batches += 1;
        self.largest_batch = self.largest_batch.max(batch.len());
        self.records += batch.len() as u64;
        self.bytes += batch.iter().map(|record| record.message.size() as u64).sum::<u64>();
        let times = self.order.check(batch);
        for (record, time) in batch.iter().zip(times) {
            self.trace.add(&record.position.topic, after, time);
        }
    }

    /// Returns the report, and what is drawn.
    pub(super) fn end(self, took: Duration, ahead: u64, deleted: u64) -> (Report, Trace) {
        let seconds = took.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let report = Report {
            records: self.records,
            bytes: self.bytes,
            seconds,
            records_per_second: per_second(self.records),
            megabytes_per_second: per_second(self.bytes) / 1e6,
            seconds_to_first_batch: self.first_batch.map(|time| time.as_secs_f64()),
            seconds_to_live: self.live.map(|time| time.as_secs_f64()),
            batches: self.batches,
            batch_size: self.batch_size,
            largest_batch: self.largest_batch,
            late: self.order.late(),
            ahead,
            deleted,
            violations: self.order.violations().clone(),
        };
        (report, self.trace)
    }
}

/// Returns the time behind which a reader that is opened now cuts times.
pub(super) fn latest(now: Timestamp, ahead: Duration) -> Timestamp {
    now.saturating_add(ahead).unwrap_or(Timestamp::MAX)
}
