//! The records of one partition that a consumer has claimed: a pure state machine over ranges of offsets.
//!
//! A claim of a hundred neighbours is one range, so its cost does not grow with its records. Settling one record of it splits the
//! range.

use std::ops::Range;

use jiff::Timestamp;
use messagekit::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use super::claim_id::{ClaimHolder, RecordClaimId};

/// Each change of a window writes all its ranges. While it has more than these, records that wait for another attempt become failed
/// messages, which are rows of their own.
pub(super) const MANY_RANGES: usize = 1_000;

/// The most ranges of a window. Only claims that are not settled, and keys that wait, can make so many; new records wait then.
pub const MAX_CLAIM_RANGES: usize = 10_000;

/// The records between the settled prefix of a partition and the records that were never claimed.
///
/// Every offset in between lies in exactly one range. A store keeps a window as the offset of [`next`](Self::next) and the text of
/// [`encode`](Self::encode), and changes both in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimWindow {
    pub(super) next: i64,
    pub(super) ranges: Vec<ClaimRange>,
}

/// Neighbours in the same state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClaimRange {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) attempts: u32,
    pub(super) state: RangeState,
}

/// Times are microseconds since 1970, by the clock of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RangeState {
    /// `is_alone`: the claim has no other record.
    Claimed {
        claim: RecordClaimId,
        holder: ClaimHolder,
        until: i64,
        is_alone: bool,
    },
    /// `is_alone`: an earlier claim was lost, so the record is claimed without others.
    Waiting {
        due: i64,
        is_alone: bool,
    },
    Settled,
}

/// A claim that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewClaim<'a> {
    /// Its id, never used before.
    pub id: &'a RecordClaimId,
    /// The process that makes it.
    pub holder: &'a ClaimHolder,
    /// The holders whose process has ended.
    pub ended: &'a [ClaimHolder],
    /// The time of the database.
    pub now: Timestamp,
    /// The end of its lease.
    pub until: Timestamp,
    /// The most records.
    pub max: u32,
    /// The number of attempts after which a record is dead.
    pub max_attempts: u32,
    /// One claim at a time, and no record before those in front of it are settled.
    pub is_ordered: bool,
}

/// Records of a claim with the same number of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRange {
    /// Their offsets.
    pub offsets: Range<i64>,
    /// The number of this attempt, from 1.
    pub attempt: u32,
}

/// The records that a claim received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimedRanges {
    /// The records to handle.
    pub ranges: Vec<ClaimedRange>,
    /// Records whose attempts are used up. They belong to the claim too, to be set aside.
    pub exhausted: Vec<ClaimedRange>,
}

/// What happens to records of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// They are finished.
    Acknowledge,
    /// They were not handled: they may be claimed at once, and the attempt does not count.
    Release,
    /// They failed, and may be claimed again from this time on.
    Retry(Timestamp),
}

impl ClaimWindow {
    /// Returns the window of a consumer whose first record is `next`.
    pub fn new(next: i64) -> Self {
        Self { next, ranges: Vec::new() }
    }

    /// Returns the end of the settled prefix: every record before it is settled.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Returns the first offset that was never claimed.
    pub fn unclaimed_from(&self) -> i64 {
        self.ranges.last().map_or(self.next, |range| range.to)
    }

    /// Returns the number of its ranges, at most [`MAX_CLAIM_RANGES`].
    pub fn count_ranges(&self) -> u64 {
        self.ranges.len() as u64
    }

    /// Returns whether records that wait are to leave it, so that a change of it stays cheap.
    pub(super) fn is_fragmented(&self) -> bool {
        self.ranges.len() > MANY_RANGES
    }

    /// Returns the holders of its claims, each once.
    pub fn holders(&self) -> Vec<&ClaimHolder> {
        let mut holders: Vec<&ClaimHolder> = Vec::new();
        for range in &self.ranges {
            if let RangeState::Claimed { holder, .. } = &range.state
                && !holders.contains(&holder)
            {
                holders.push(holder);
            }
        }
        holders
    }

    /// Returns whether a claim holds records at this time.
    pub fn has_holder(&self, now: Timestamp) -> bool {
        let now = now.as_microsecond();
        self.ranges
            .iter()
            .any(|range| matches!(&range.state, RangeState::Claimed { until, .. } if *until > now))
    }

    /// Returns how many records are in claims that are not lost.
    pub fn in_flight(&self, now: Timestamp, ended: &[ClaimHolder]) -> u64 {
        let now = now.as_microsecond();
        let held = self.ranges.iter().filter(|range| range.is_live(now, ended)).map(ClaimRange::len);
        u64::try_from(held.sum::<i64>()).unwrap_or(0)
    }

    /// Returns the records that a claim holds.
    pub fn held_by(&self, id: &RecordClaimId) -> Vec<ClaimedRange> {
        let own = self.ranges.iter().filter(|range| range.is_held_by(id));
        own.map(|range| ClaimedRange { offsets: range.from..range.to, attempt: range.attempts }).collect()
    }

    /// Returns the claim that holds the record at an offset.
    pub fn holder_of(&self, offset: i64) -> Option<&RecordClaimId> {
        let range = self.ranges.get(self.ranges.partition_point(|range| range.to <= offset))?;
        match &range.state {
            RangeState::Claimed { claim, .. } if range.from <= offset => Some(claim),
            _ => None,
        }
    }

    /// Returns when the lease of a claim ends, if it holds anything.
    pub fn lease_of(&self, id: &RecordClaimId) -> Option<Timestamp> {
        self.ranges.iter().find_map(|range| match &range.state {
            RangeState::Claimed { claim, until, .. } if claim == id => {
                Timestamp::from_microsecond(*until).ok()
            }
            _ => None,
        })
    }

    /// Returns when, after `now`, the first record that was claimed may be claimed again, or `None` if there is none.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.as_microsecond();
        let due = self.ranges.iter().filter_map(|range| match &range.state {
            RangeState::Claimed { until, .. } => Some(*until),
            RangeState::Waiting { due, .. } => Some(*due),
            RangeState::Settled => None,
        });
        due.filter(|due| *due > now).min().and_then(|due| Timestamp::from_microsecond(due).ok())
    }

    /// Passes over records that the log no longer has, and returns those that were not settled.
    pub fn pass_deleted(&mut self, log_start: i64) -> Option<Range<i64>> {
        if log_start <= self.next {
            return None;
        }
        let deleted = self.next..log_start;
        self.cut(log_start);
        let lost = log_start > self.unclaimed_from()
            || self.ranges.iter().any(|range| range.from < log_start && !range.is_settled());
        self.ranges.retain(|range| range.from >= log_start);
        self.next = log_start;
        self.collapse();
        lost.then_some(deleted)
    }

    /// Moves the consumer to an offset. Every claim ends: what its holder settles later is [lost](Self::settle).
    pub fn reset(&mut self, next: i64) {
        *self = Self::new(next);
    }

    /// Claims records before `end`: first those that are due again, oldest first, then new ones.
    ///
    /// A claim is lost when its lease has ended or its process has. Records that were lost together count no attempt, because
    /// only one of them may be to blame; they are then claimed one by one. A record that was lost alone counts one.
    pub fn claim(&mut self, new: &NewClaim<'_>, end: i64) -> ClaimedRanges {
        let now = new.now.as_microsecond();
        self.lose(now, new.ended);
        let mut claimed = ClaimedRanges::default();
        let limit = if new.is_ordered { self.order_limit(now) } else { i64::MAX };
        let alone = |range: &ClaimRange| match range.state {
            RangeState::Waiting { due, is_alone } => is_alone && due <= now && range.from < limit,
            _ => false,
        };
        if let Some(index) = self.ranges.iter().position(alone) {
            return self.claim_alone(self.ranges[index].from, new);
        }
        let mut room = i64::from(new.max);
        let mut index = 0;
        while index < self.ranges.len() && room > 0 {
            let is_next = self.ranges[index].from < limit;
            if matches!(self.ranges[index].state, RangeState::Waiting { due, .. } if is_next && due <= now) {
                self.cut(self.ranges[index].from.saturating_add(room));
                let range = &mut self.ranges[index];
                range.attempts += 1;
                range.state = new.state(false);
                room -= range.len();
                claimed.ranges.push(range.claimed());
            }
            index += 1;
        }
        let from = self.unclaimed_from();
        let to = end.min(from.saturating_add(room));
        if to > from && limit == i64::MAX && self.ranges.len() < MAX_CLAIM_RANGES {
            let range = ClaimRange { from, to, attempts: 1, state: new.state(false) };
            claimed.ranges.push(range.claimed());
            self.ranges.push(range);
        }
        if let [only] = &claimed.ranges[..]
            && only.offsets.end - only.offsets.start == 1
        {
            let index = self.ranges.partition_point(|range| range.from < only.offsets.start);
            self.ranges[index].state = new.state(true);
        }
        claimed
    }

    /// Claims the record at an offset without others, or as exhausted.
    pub(super) fn claim_alone(&mut self, offset: i64, new: &NewClaim<'_>) -> ClaimedRanges {
        let mut claimed = ClaimedRanges::default();
        self.cut(offset);
        self.cut(offset + 1);
        let index = self.ranges.partition_point(|range| range.from < offset);
        let range = &mut self.ranges[index];
        let is_exhausted = range.attempts >= new.max_attempts;
        range.attempts += u32::from(!is_exhausted);
        range.state = new.state(true);
        let kind = if is_exhausted { &mut claimed.exhausted } else { &mut claimed.ranges };
        kind.push(range.claimed());
        claimed
    }

    /// Settles records of a claim.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] when the claim does not hold every one of them: the claim was lost and they were claimed again, they
    /// are settled already, or the consumer was reset. Nothing has changed then.
    pub fn settle(
        &mut self,
        id: &RecordClaimId,
        offsets: &[Range<i64>],
        how: Settlement,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !offsets.iter().all(|wanted| self.is_held(id, wanted)) {
            return Err(claim_lost(id));
        }
        for wanted in offsets.iter().filter(|wanted| !wanted.is_empty()) {
            self.cut(wanted.start);
            self.cut(wanted.end);
            let first = self.ranges.partition_point(|range| range.from < wanted.start);
            for range in self.ranges[first..].iter_mut().take_while(|range| range.from < wanted.end) {
                match how {
                    Settlement::Acknowledge => range.state = RangeState::Settled,
                    Settlement::Release => {
                        range.attempts = range.attempts.saturating_sub(1);
                        range.state =
                            RangeState::Waiting { due: now.as_microsecond(), is_alone: range.is_alone() };
                    }
                    Settlement::Retry(due) => {
                        range.state = RangeState::Waiting { due: due.as_microsecond(), is_alone: false };
                    }
                }
            }
        }
        self.collapse();
        Ok(())
    }

    /// Extends the lease of what a claim still holds.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] when it holds nothing.
    pub fn extend(&mut self, id: &RecordClaimId, until: Timestamp) -> Result<(), Error> {
        let mut is_held = false;
        for range in self.ranges.iter_mut().filter(|range| range.is_held_by(id)) {
            if let RangeState::Claimed { until: end, .. } = &mut range.state {
                *end = until.as_microsecond();
                is_held = true;
            }
        }
        if is_held { Ok(()) } else { Err(claim_lost(id)) }
    }

    /// Returns the ranges as a JSON list, for a column of a table.
    pub fn encode(&self) -> String {
        serde_json::to_string(&self.ranges).expect("numbers and texts can be written as JSON")
    }

    /// Returns the window that a store has kept.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for a text that no window has.
    pub fn decode(next: i64, ranges: &str) -> Result<Self, Error> {
        let corrupt = |text: &'static str| Error::new(ErrorKind::Corrupt, text);
        let ranges: Vec<ClaimRange> = serde_json::from_str(ranges)
            .map_err(|error| corrupt("stored record claims cannot be read").caused_by(error))?;
        let mut at = next;
        for range in &ranges {
            if range.from != at || range.to <= range.from {
                return Err(
                    corrupt("stored record claims do not follow each other").with("offset", range.from)
                );
            }
            at = range.to;
        }
        Ok(Self { next, ranges })
    }

    /// Returns whether a claim holds every record of a range.
    pub(super) fn is_held(&self, id: &RecordClaimId, wanted: &Range<i64>) -> bool {
        let mut at = wanted.start;
        let first = self.ranges.partition_point(|range| range.to <= wanted.start);
        for range in &self.ranges[first..] {
            if at >= wanted.end || range.from > at || !range.is_held_by(id) {
                break;
            }
            at = range.to;
        }
        at >= wanted.end
    }

    /// Ends the claims whose lease or process has ended.
    pub(super) fn lose(&mut self, now: i64, ended: &[ClaimHolder]) {
        for range in &mut self.ranges {
            if let RangeState::Claimed { is_alone, .. } = &range.state
                && !range.is_live(now, ended)
            {
                range.attempts = range.attempts.saturating_sub(u32::from(!*is_alone));
                range.state = RangeState::Waiting { due: now, is_alone: true };
            }
        }
    }

    /// Returns the first offset that may not be claimed in order: nothing behind a claim or a record that is not due, and nothing
    /// beside a record that is claimed alone.
    fn order_limit(&self, now: i64) -> i64 {
        if self.ranges.iter().any(|range| matches!(range.state, RangeState::Claimed { .. })) {
            return self.next;
        }
        let waiting = self.ranges.iter().filter(|range| !range.is_settled());
        for (index, range) in waiting.enumerate() {
            match range.state {
                RangeState::Waiting { due, .. } if due > now => return range.from,
                RangeState::Waiting { is_alone: true, .. } => return range.from + i64::from(index == 0),
                _ => {}
            }
        }
        i64::MAX
    }

    /// Splits the range that has `at` inside.
    pub(super) fn cut(&mut self, at: i64) {
        let index = self.ranges.partition_point(|range| range.to <= at);
        if let Some(range) = self.ranges.get_mut(index)
            && range.from < at
        {
            let rest = ClaimRange { from: at, ..range.clone() };
            range.to = at;
            self.ranges.insert(index + 1, rest);
        }
    }

    /// Joins equal neighbours, and moves past the settled prefix.
    pub(super) fn collapse(&mut self) {
        self.ranges.dedup_by(|later, earlier| {
            let is_equal =
                earlier.state == later.state && (earlier.is_settled() || earlier.attempts == later.attempts);
            if is_equal {
                earlier.to = later.to;
            }
            is_equal
        });
        if let Some(first) = self.ranges.first()
            && first.is_settled()
        {
            self.next = first.to;
            self.ranges.remove(0);
        }
    }
}

impl ClaimRange {
    pub(super) fn len(&self) -> i64 {
        self.to - self.from
    }

    /// Returns whether a claim holds it whose lease and process have not ended.
    fn is_live(&self, now: i64, ended: &[ClaimHolder]) -> bool {
        matches!(&self.state, RangeState::Claimed { until, holder, .. } if *until > now && !ended.contains(holder))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.state == RangeState::Settled
    }

    fn is_alone(&self) -> bool {
        matches!(self.state, RangeState::Claimed { is_alone: true, .. })
    }

    fn is_held_by(&self, id: &RecordClaimId) -> bool {
        matches!(&self.state, RangeState::Claimed { claim, .. } if claim == id)
    }

    pub(super) fn claimed(&self) -> ClaimedRange {
        ClaimedRange { offsets: self.from..self.to, attempt: self.attempts }
    }
}

impl NewClaim<'_> {
    pub(super) fn state(&self, is_alone: bool) -> RangeState {
        RangeState::Claimed {
            claim: self.id.clone(),
            holder: self.holder.clone(),
            until: self.until.as_microsecond(),
            is_alone,
        }
    }
}

/// The claim holds its records no more.
pub(super) fn claim_lost(id: &RecordClaimId) -> Error {
    Error::new(ErrorKind::ClaimLost, "claim no longer holds these records: do not apply their effects")
        .with("claim", id)
}
