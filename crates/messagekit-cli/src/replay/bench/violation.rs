//! A broken invariant, and how many there were.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::output::{number, printable};

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A batch has more records than the setting allows.
    BatchTooLarge,
    /// The last offset of a partition came again.
    OffsetRepeated,
    /// An offset came behind a greater one of its partition.
    OffsetBackwards,
    /// A frontier came behind a greater one of another partition, or behind an equal one of a later partition.
    TimeBackwards,
}

/// A record, and the time at which it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Spot {
    #[serde(serialize_with = "text")]
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The frontier of its partition, once it has one.
    pub(super) time: Option<Timestamp>,
}

impl Spot {
    /// Returns whether this record belongs before another one. Between equal times the partition decides, but for times that were cut.
    pub(super) fn stands_before(&self, other: &Self, latest: Timestamp) -> bool {
        if self.time == other.time && self.time >= Some(latest) {
            return false;
        }
        (self.time, &self.topic, self.partition) < (other.time, &other.topic, other.partition)
    }
}

/// A record that broke an invariant, and the one that it came behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    pub(super) kind: Kind,
    pub(super) record: Spot,
    pub(super) behind: Spot,
}

/// All of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Violations {
    pub(super) batch_too_large: u64,
    pub(super) offset_repeated: u64,
    pub(super) offset_backwards: u64,
    pub(super) time_backwards: u64,
    pub(super) first: Option<Violation>,
}

impl Violations {
    pub(super) fn note(&mut self, violation: Violation) {
        let count = match violation.kind {
            Kind::BatchTooLarge => &mut self.batch_too_large,
            Kind::OffsetRepeated => &mut self.offset_repeated,
            Kind::OffsetBackwards => &mut self.offset_backwards,
            Kind::TimeBackwards => &mut self.time_backwards,
        };
        *count += 1;
        self.first.get_or_insert(violation);
    }

    pub(super) fn count(&self) -> u64 {
        self.batch_too_large + self.offset_repeated + self.offset_backwards + self.time_backwards
    }

    /// `1 violation`, `2 violations`.
    pub(super) fn in_words(&self) -> String {
        let count = self.count();
        format!("{} {}", number(count), if count == 1 { "violation" } else { "violations" })
    }

    /// Returns the count of each kind, with its name.
    pub(super) fn by_kind(&self) -> [(Kind, u64); 4] {
        [
            (Kind::BatchTooLarge, self.batch_too_large),
            (Kind::OffsetRepeated, self.offset_repeated),
            (Kind::OffsetBackwards, self.offset_backwards),
            (Kind::TimeBackwards, self.time_backwards),
        ]
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BatchTooLarge => "batch too large",
            Self::OffsetRepeated => "offset repeated",
            Self::OffsetBackwards => "offset backwards",
            Self::TimeBackwards => "time backwards",
        })
    }
}

/// `orders, partition 0, offset 7, at 2026-01-31T00:00:00Z`.
impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, partition {}, offset {}, ", printable(&self.topic), self.partition, self.offset)?;
        match self.time {
            Some(time) => write!(f, "at {time}"),
            None => f.write_str("without a time"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, came behind {}", self.kind, self.record, self.behind)
    }
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
