//! A claim with its records, and the choice of some of them.

use std::ops::Range;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::log::{Bounds, Record};

use super::claim_id::RecordClaimId;
use super::window::{ClaimWindow, claim_lost};

/// Records that this worker alone may handle, until the lease ends.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordClaim {
    /// Its id.
    pub id: RecordClaimId,
    /// The partition of its records.
    pub partition: i32,
    /// The end of its lease, by the clock of the database.
    pub until: Timestamp,
    /// Its records, in the order of their offsets.
    pub records: Vec<ClaimedRecord>,
}

/// A record of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedRecord {
    /// The record.
    pub record: Record,
    /// The number of this attempt, from 1.
    pub attempt: u32,
}

/// The answer to a call for records.
#[derive(Clone, Debug, PartialEq)]
pub enum Claimed {
    /// Records of one partition.
    Records(RecordClaim),
    /// Records were deleted before the consumer settled them. Its claims go on behind them.
    Deleted {
        /// The partition.
        partition: i32,
        /// Their offsets.
        offsets: Range<i64>,
    },
    /// No record may be claimed now.
    Nothing {
        /// When the first record that a worker has claimed may be claimed again, by the clock of the database.
        due: Option<Timestamp>,
    },
}

/// Where a consumer goes on whose next records were deleted before it settled them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDeleted {
    /// At the earliest record that is left.
    #[default]
    Earliest,
    /// Behind the last record.
    Latest,
    /// Nowhere: each claim fails until the consumer is reset.
    Fail,
}

/// Records of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// Those that the claim still holds.
    All,
    /// Those that the claim still holds, up to this offset and with it. Records of other claims are never touched.
    UpTo(i64),
    /// Exactly these.
    Offsets(&'a [i64]),
}

const NOT_YET: &str = "partition has no record at this offset yet";

/// An owned [`Which`].
pub(super) enum Selection {
    All,
    UpTo(i64),
    Offsets(Vec<i64>),
}

impl From<Which<'_>> for Selection {
    fn from(which: Which<'_>) -> Self {
        match which {
            Which::All => Self::All,
            Which::UpTo(offset) => Self::UpTo(offset),
            Which::Offsets(offsets) => Self::Offsets(offsets.to_vec()),
        }
    }
}

impl Selection {
    /// Returns the offsets as ranges.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] when the claim holds nothing any more. As [`check`](Self::check).
    pub(super) fn ranges(
        &self,
        bounds: &Bounds,
        window: &ClaimWindow,
        id: &RecordClaimId,
    ) -> Result<Vec<Range<i64>>, Error> {
        let held = window.held_by(id);
        if held.is_empty() && !matches!(self, Self::Offsets(offsets) if offsets.is_empty()) {
            return Err(claim_lost(id));
        }
        self.check(bounds)?;
        if let Self::Offsets(offsets) = self {
            return Ok(offsets.iter().map(|offset| *offset..offset + 1).collect());
        }
        let end = if let Self::UpTo(offset) = self { offset.saturating_add(1) } else { i64::MAX };
        let up_to = held.into_iter().map(|range| range.offsets.start..range.offsets.end.min(end));
        Ok(up_to.filter(|range| !range.is_empty()).collect())
    }

    /// Checks that the partition has the offsets that are named.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`], with the values `earliest` and `end`.
    pub(super) fn check(&self, bounds: &Bounds) -> Result<(), Error> {
        let named = match self {
            Self::All => &[][..],
            Self::UpTo(last) => std::slice::from_ref(last),
            Self::Offsets(offsets) => offsets,
        };
        match named.iter().find(|offset| !(0..bounds.end).contains(*offset)) {
            Some(offset) => Err(bounds.out_of_range(NOT_YET, *offset)),
            None => Ok(()),
        }
    }

    /// Returns whether it names the only record of a claim.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] when it names another one.
    pub(super) fn has(&self, only: i64, id: &RecordClaimId) -> Result<bool, Error> {
        match self {
            Self::All => Ok(true),
            Self::UpTo(last) => Ok(only <= *last),
            Self::Offsets(offsets) if offsets.iter().all(|offset| *offset == only) => Ok(!offsets.is_empty()),
            Self::Offsets(_) => Err(claim_lost(id)),
        }
    }
}

impl Which<'_> {
    /// Returns whether a record of the claim belongs to it.
    pub(super) fn has(self, offset: i64) -> bool {
        match self {
            Self::All => true,
            Self::UpTo(last) => offset <= last,
            Self::Offsets(offsets) => offsets.contains(&offset),
        }
    }
}
