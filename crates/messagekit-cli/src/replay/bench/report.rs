//! What was measured.

use comfy_table::Table;
use messagekit::{Error, ErrorKind};
use serde::Serialize;

use super::violation::Violations;
use crate::output::{number, table};

/// What `--json` prints. A megabyte has 1,000,000 bytes; bytes are those of keys, headers and payloads. Times begin when the reader is
/// opened, and leave out the check but for `seconds`. Rates are those up to the last batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) seconds_of_check: f64,
    pub(super) records_per_second: f64,
    pub(super) megabytes_per_second: f64,
    pub(super) seconds_to_first_batch: Option<f64>,
    pub(super) seconds_to_last_batch: Option<f64>,
    pub(super) seconds_to_live: Option<f64>,
    pub(super) batches: u64,
    pub(super) batch_size: usize,
    pub(super) largest_batch: usize,
    /// Records with a time before that of an earlier one of their partition; with an idle time-out also before those of others.
    pub(super) late: u64,
    /// Times so far ahead of the clock that the reader has cut them.
    pub(super) ahead: u64,
    /// Offsets that were deleted before they were read.
    pub(super) deleted: u64,
    /// Not with an idle time-out.
    pub(super) is_time_checked_across_partitions: bool,
    pub(super) violations: Violations,
}

/// Where the order of time is checked.
const ALL: &str = "across partitions";
const EACH: &str = "within partitions";

impl Report {
    /// Returns the report for people.
    pub(super) fn table(&self) -> Table {
        let seconds = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.3} s"));
        let mut rows = vec![
            ("records", number(self.records)),
            ("bytes", number(self.bytes)),
            ("time", seconds(Some(self.seconds))),
            ("of which for the check", seconds(Some(self.seconds_of_check))),
            ("rate", self.rate()),
            ("time to the first batch", seconds(self.seconds_to_first_batch)),
            ("time to the last batch", seconds(self.seconds_to_last_batch)),
            ("time to live", seconds(self.seconds_to_live)),
            ("batches", number(self.batches)),
            (
                "largest batch",
                format!("{} of {}", number(self.largest_batch as u64), number(self.batch_size as u64)),
            ),
            ("late", number(self.late)),
            ("ahead of the clock", number(self.ahead)),
            ("deleted before they were read", number(self.deleted)),
            ("time is checked", if self.is_time_checked_across_partitions { ALL } else { EACH }.to_owned()),
            ("violations", number(self.violations.count())),
        ];
        let kinds = self.violations.by_kind().into_iter().filter(|(_, count)| *count > 0);
        let kinds: Vec<_> = kinds.map(|(kind, count)| (format!("  {kind}"), number(count))).collect();
        rows.extend(kinds.iter().map(|(name, count)| (name.as_str(), count.clone())));
        if let Some(first) = &self.violations.first {
            rows.push(("the first", first.to_string()));
        }
        let mut table = table(&["measured", "value"]);
        rows.into_iter().for_each(|(name, value)| {
            table.add_row([name, &value]);
        });
        table
    }

    /// Returns the rates in words.
    pub(super) fn rate(&self) -> String {
        let records = number(self.records_per_second.round() as u64);
        format!("{records} records/s, {:.1} MB/s", self.megabytes_per_second)
    }

    /// Refuses a run in which something was broken.
    pub(super) fn verdict(&self) -> Result<(), Error> {
        let Some(first) = &self.violations.first else { return Ok(()) };
        let text = format!("what was released has {}; the first is {first}", self.violations.in_words());
        Err(Error::new(ErrorKind::WrongState, text))
    }
}
