//! Checks the order of what was released, from the records alone: nothing that the reader says of itself is used.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Position;
use messagekit::log::Record;

use super::violation::{Kind, Spot, Violation, Violations};

/// What must hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// No batch has more records.
    pub(super) batch_size: usize,
    /// Times behind this one are compared as if they were this one: the reader cuts them, nowhere earlier.
    pub(super) latest: Timestamp,
    /// What a partition brings behind this time is not ordered.
    pub(super) cutoff: Option<Timestamp>,
    /// The others wait for a partition that brings nothing. If they do not, what it brings then is late, and broke nothing.
    pub(super) waits_for_all: bool,
}

/// Where the past of a partition ends: the offset of its next record before the reader was opened.
#[derive(Clone, Debug)]
pub(super) struct PastEnd {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) end: i64,
}

/// Compares each record with those that were released before it.
#[derive(Debug)]
pub(super) struct Order {
    rules: Rules,
    partitions: HashMap<Arc<str>, HashMap<i32, Known>>,
    /// The record of the past with the greatest frontier.
    newest: Option<Spot>,
    late: u64,
    violations: Violations,
}

/// What a partition has shown.
#[derive(Debug, Default)]
struct Known {
    /// Records in front of this offset are of the past.
    past_end: i64,
    /// The greatest offset, and the time at which it stood.
    last: Option<(i64, Option<Timestamp>)>,
    frontier: Option<Timestamp>,
}

impl Order {
    pub(super) fn new(rules: Rules, past: &[PastEnd]) -> Self {
        let mut partitions: HashMap<Arc<str>, HashMap<i32, Known>> = HashMap::new();
        for PastEnd { topic, partition, end } in past {
            let known = Known { past_end: *end, ..Known::default() };
            partitions.entry(topic.clone()).or_default().insert(*partition, known);
        }
        Self { rules, partitions, newest: None, late: 0, violations: Violations::default() }
    }

    /// Checks the size of the next batch.
    pub(super) fn check_size(&mut self, batch: &[Record]) {
        let size = self.rules.batch_size;
        if let [behind, record] = batch.get(size.saturating_sub(1)..=size).unwrap_or_default() {
            let spot = |record: &Record| spot(&record.position, record.timestamp);
            let (record, behind) = (spot(record), spot(behind));
            self.violations.note(Violation { kind: Kind::BatchTooLarge, record, behind });
        }
    }

    /// Checks the next records. Returns the time at which each stands: the frontier of its partition, and behind the past its own time.
    pub(super) fn check(&mut self, records: &[Record]) -> Vec<Option<Timestamp>> {
        records.iter().map(|record| self.record(&record.position, record.timestamp)).collect()
    }

    /// Returns how many records had a time before one that their partition had shown, or came late behind an idle partition.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    pub(super) fn violations(&self) -> &Violations {
        &self.violations
    }

    fn record(&mut self, position: &Position, own: Option<Timestamp>) -> Option<Timestamp> {
        if !self.partitions.contains_key(&position.topic) {
            self.partitions.insert(position.topic.clone(), HashMap::new());
        }
        let known = self.partitions.get_mut(&position.topic)?.entry(position.partition).or_default();
        if let Some((last, at)) = known.last.filter(|(last, _)| position.offset <= *last) {
            let kind = if position.offset == last { Kind::OffsetRepeated } else { Kind::OffsetBackwards };
            let behind = spot(&Position { offset: last, ..position.clone() }, at);
            self.violations.note(Violation { kind, record: spot(position, own), behind });
            return own;
        }
        let is_past = known.is_past(position.offset, own, self.rules.cutoff);
        let own = own.map(|own| own.min(self.rules.latest));
        let mut time = own;
        if is_past {
            self.late += u64::from(own.is_some() && own < known.frontier);
            known.frontier = known.frontier.max(own);
            let here = spot(position, known.frontier);
            match self.newest.as_ref().filter(|newest| here.stands_before(newest, self.rules.latest)) {
                None => self.newest = Some(here),
                Some(newest) if self.rules.waits_for_all => {
                    let behind = newest.clone();
                    self.violations.note(Violation { kind: Kind::TimeBackwards, record: here, behind });
                }
                Some(newest) => {
                    self.late += u64::from(own.is_some() && own == known.frontier);
                    known.frontier = newest.time;
                }
            }
            time = known.frontier;
        }
        known.last = Some((position.offset, time));
        time
    }
}

impl Known {
    /// Returns whether a record is of the past. That of a partition ends with its first record at the cutoff, or in front of one behind it.
    fn is_past(&mut self, offset: i64, own: Option<Timestamp>, cutoff: Option<Timestamp>) -> bool {
        let compared = own.zip(cutoff).map(|(own, cutoff)| own.cmp(&cutoff));
        let is_past = offset < self.past_end && compared.is_none_or(Ordering::is_le);
        if compared.is_some_and(Ordering::is_ge) {
            self.past_end = i64::MIN;
        }
        is_past
    }
}

fn spot(position: &Position, time: Option<Timestamp>) -> Spot {
    let Position { topic, partition, offset } = position.clone();
    Spot { topic, partition, offset, time }
}
