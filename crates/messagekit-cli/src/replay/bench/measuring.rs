//! What is counted while a reader is read.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use messagekit::log::Record;

use super::order::{Order, PastEnd, Rules};
use super::report::Report;
use super::trace::Trace;

/// Counts, times and the check of one run.
#[derive(Debug)]
pub(super) struct Measuring {
    rules: Rules,
    order: Order,
    /// Only if something is drawn.
    trace: Option<Trace>,
    records: u64,
    bytes: u64,
    batches: u64,
    largest_batch: usize,
    first_batch: Option<Duration>,
    last_batch: Duration,
    live: Option<Duration>,
    /// How long the check itself took.
    checking: Duration,
}

impl Measuring {
    pub(super) fn new(rules: Rules, past: &[PastEnd], trace: Option<Trace>) -> Self {
        Self {
            rules,
            order: Order::new(rules, past),
            trace,
            records: 0,
            bytes: 0,
            batches: 0,
            largest_batch: 0,
            first_batch: None,
            last_batch: Duration::ZERO,
            live: None,
            checking: Duration::ZERO,
        }
    }

    /// Takes in a whole batch, so long after the start. `is_live` is what the reader says behind it.
    pub(super) fn polled(&mut self, batch: &[Record], after: Duration, is_live: bool) {
        if is_live {
            self.live.get_or_insert(after.saturating_sub(self.checking));
        }
        self.order.check_size(batch);
        self.largest_batch = self.largest_batch.max(batch.len());
    }

    /// Takes in the records of a batch that lie in front of the end.
    pub(super) fn kept(&mut self, records: &[Record], after: Duration) {
        if records.is_empty() {
            return;
        }
        let began = Instant::now();
        let after = after.saturating_sub(self.checking);
        self.first_batch.get_or_insert(after);
        self.last_batch = after;
        self.batches += 1;
        self.records += records.len() as u64;
        self.bytes += records.iter().map(|record| record.message.size() as u64).sum::<u64>();
        let times = self.order.check(records);
        if let Some(trace) = &mut self.trace {
            for (record, time) in records.iter().zip(times) {
                trace.add(&record.position.topic, after, time);
            }
        }
        self.checking += began.elapsed();
    }

    /// Returns the report, and what is drawn.
    pub(super) fn end(self, took: Duration, ahead: u64, deleted: u64) -> (Report, Option<Trace>) {
        let seconds = self.last_batch.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let report = Report {
            records: self.records,
            bytes: self.bytes,
            seconds: took.as_secs_f64(),
            seconds_of_check: self.checking.as_secs_f64(),
            records_per_second: per_second(self.records),
            megabytes_per_second: per_second(self.bytes) / 1e6,
            seconds_to_first_batch: self.first_batch.map(|time| time.as_secs_f64()),
            seconds_to_last_batch: self.first_batch.map(|_| seconds),
            seconds_to_live: self.live.map(|time| time.as_secs_f64()),
            batches: self.batches,
            batch_size: self.rules.batch_size,
            largest_batch: self.largest_batch,
            late: self.order.late(),
            ahead,
            deleted,
            is_time_checked_across_partitions: self.rules.waits_for_all,
            violations: self.order.violations().clone(),
        };
        (report, self.trace)
    }
}

/// Returns the time behind which a reader that is opened now cuts times.
pub(super) fn latest(now: Timestamp, ahead: Duration) -> Timestamp {
    now.saturating_add(ahead).unwrap_or(Timestamp::MAX)
}
