//! Merges partitions by time: a state machine without a clock and without a log.
//!
//! The *frontier* of a partition is the greatest time that it has shown. The lowest frontier of all partitions that may still bring
//! records of the past holds back everything behind it: also that of a partition that has shown nothing yet, or that is paused.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::merge_partition::{MergePartition, Phase};
use super::merge_record::MergeRecord;
use super::merge_settings::MergeSettings;

/// What a [`MergeCore`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeCounts {
    /// Records that came in.
    pub consumed: u64,
    /// Records that went out.
    pub released: u64,
    /// Records whose own time lies before what their partition, or the reader behind an idle one, has shown already.
    pub late: u64,
    /// Records whose own time lies so far ahead that it was cut.
    pub ahead: u64,
    /// How often a partition was paused.
    pub paused: u64,
    /// How often one went on.
    pub resumed: u64,
}

/// Brings the records of many partitions into the order of their time, in a bounded buffer.
///
/// Partitions are counted from 0, in the order that decides between equal times. A record is released when no partition can bring one that
/// belongs before it. Records of a partition never overtake each other: one whose time goes backwards stands at the frontier. When every
/// partition has [ended](Self::on_end) and all of its past is released, the core is [live](Self::is_live): from then on records come in the
/// order in which they arrive.
///
/// ```
/// use jiff::Timestamp;
/// use messagekit::log::{MergeCore, MergeRecord, MergeSettings};
///
/// let mut core = MergeCore::new(2, MergeSettings::default());
/// let second = |second| Timestamp::from_second(second).unwrap();
/// let mut record = |partition, offset, at| {
///     let time = Some(second(at));
///     core.on_record(MergeRecord { partition, offset, time, bytes: 1, record: at }, second(1_000));
/// };
/// record(0, 0, 10);
/// record(0, 1, 30);
/// record(1, 0, 20);
/// let times = |core: &mut MergeCore<i64>| core.take(9).into_iter().map(|taken| taken.record).collect::<Vec<_>>();
/// assert_eq!(times(&mut core), [10, 20], "partition 1 may still bring a record of second 25");
/// core.on_end(1);
/// assert_eq!(times(&mut core), [30]);
/// ```
#[derive(Debug)]
pub struct MergeCore<R> {
    pub(super) settings: MergeSettings,
    pub(super) partitions: Vec<MergePartition<R>>,
    /// The partitions that hold others back, with what they have shown.
    pub(super) open: BTreeSet<Place>,
    /// Partitions whose entry in `open` is out of date.
    moved: Vec<usize>,
    /// The first record of each partition that has one.
    pub(super) heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Records behind the end of their partition, in the order of their arrival.
    pub(super) arrived: VecDeque<MergeRecord<R>>,
    pub(super) held: usize,
    pub(super) held_bytes: usize,
    pub(super) largest: usize,
    /// The greatest time that was released.
    released: Option<Timestamp>,
    pub(super) is_live: bool,
    pub(super) counts: MergeCounts,
}

impl<R> MergeCore<R> {
    /// Creates a core of so many partitions, all of them unseen.
    pub fn new(partitions: usize, settings: MergeSettings) -> Self {
        Self {
            partitions: (0..partitions).map(MergePartition::unseen).collect(),
            open: (0..partitions).map(|index| (None, index)).collect(),
            moved: Vec::new(),
            heads: BinaryHeap::new(),
            arrived: VecDeque::new(),
            held: 0,
            held_bytes: 0,
            largest: settings.max_bytes / 16,
            released: None,
            is_live: partitions == 0,
            counts: MergeCounts::default(),
            settings,
        }
    }

    /// Begins behind a time that was released before, as after a restart: no record stands earlier.
    #[must_use]
    pub fn resume_at(mut self, released: Option<Timestamp>) -> Self {
        self.released = released;
        self
    }

    /// Takes in a record. One whose offset the partition has passed already is dropped.
    pub fn on_record(&mut self, record: MergeRecord<R>, now: Timestamp) {
        let index = record.partition;
        if self.partitions[index].consumed.is_some_and(|consumed| record.offset <= consumed) {
            return;
        }
        self.counts.consumed += 1;
        self.held += 1;
        self.held_bytes += record.bytes;
        self.largest = if self.counts.consumed == 1 { record.bytes } else { self.largest.max(record.bytes) };
        let (time, is_beyond) = self.place(&record, now);
        let partition = &mut self.partitions[index];
        partition.consumed = Some(record.offset);
        partition.consumed_at = record.time.or(partition.consumed_at);
        let record = MergeRecord { time: Some(time), ..record };
        if is_beyond {
            self.arrived.push_back(record);
            return;
        }
        if partition.waiting.is_empty() {
            self.heads.push(Reverse((time, index)));
        }
        partition.waiting.push_back(record);
        // A page has many records of one partition.
        if self.moved.last() != Some(&index) {
            self.moved.push(index);
        }
        if self.settings.cutoff.is_some_and(|cutoff| time >= cutoff) {
            self.on_end(index);
        }
    }

    /// Moves the frontier of a record's partition. Returns the time that orders the record, and whether it lies behind the end.
    fn place(&mut self, record: &MergeRecord<R>, now: Timestamp) -> (Timestamp, bool) {
        let latest = now.saturating_add(self.settings.max_ahead).unwrap_or(Timestamp::MAX);
        let own = record.time.map(|time| time.min(latest));
        self.counts.ahead += u64::from(own < record.time);
        let partition = &mut self.partitions[record.partition];
        // What an idle partition brings late cannot stand before what went out meanwhile.
        let reached = partition.frontier.max(self.released);
        let time = own.max(reached).unwrap_or(Timestamp::MIN);
        let has_ended = partition.phase == Phase::Ended;
        // Behind the past there is no order between partitions that a record could be late for.
        let shown = if has_ended { partition.frontier } else { reached };
        self.counts.late += u64::from(own.is_some() && own < shown);
        if has_ended {
            partition.frontier = shown.max(own);
            return (time, true);
        }
        partition.frontier = Some(time);
        let is_beyond = self.settings.cutoff.is_some_and(|cutoff| time > cutoff);
        if is_beyond {
            self.on_end(record.partition);
        } else {
            partition.phase = Phase::Open;
        }
        (time, is_beyond)
    }

    /// Notes that a partition has brought all of its past: it holds no other back, and what comes from it now waits until the core is live.
    pub fn on_end(&mut self, partition: usize) {
        self.partitions[partition].phase = Phase::Ended;
        self.moved.push(partition);
        self.refresh();
    }

    /// Notes that a partition has brought nothing for so long that the others do not wait for it any more. It holds them back again from its
    /// next record on.
    pub fn on_idle(&mut self, partition: usize) {
        let known = &mut self.partitions[partition];
        if known.phase == Phase::Open {
            known.phase = Phase::Idle;
            self.moved.push(partition);
            self.refresh();
        }
    }

    /// Adds a partition that nothing is known of, and returns its index. It has no past if the core is live.
    pub fn add_partition(&mut self) -> usize {
        let index = self.partitions.len();
        let phase = if self.is_live { Phase::Ended } else { Phase::Open };
        self.partitions.push(MergePartition { phase, entry: None, ..MergePartition::unseen(index) });
        self.moved.push(index);
        index
    }

    /// Releases at most `max` records, in order.
    pub fn take(&mut self, max: usize) -> Vec<MergeRecord<R>> {
        self.refresh();
        let mut taken = Vec::with_capacity(max.min(self.held));
        let lowest = self.open.first().copied();
        while taken.len() < max
            && let Some(Reverse((time, index))) = self.heads.peek().copied()
            && is_due((Some(time), index), lowest)
        {
            self.heads.pop();
            self.take_run(index, max, lowest, &mut taken);
        }
        self.refresh();
        if self.is_live {
            let rest = (max - taken.len()).min(self.arrived.len());
            taken.extend(self.arrived.drain(..rest));
        }
        for record in &taken {
            self.held -= 1;
            self.held_bytes -= record.bytes;
            self.partitions[record.partition].released = Some(record.offset);
        }
        self.released = taken.iter().filter_map(|record| record.time).max().max(self.released);
        self.counts.released += taken.len() as u64;
        taken
    }

    /// Takes the records of a partition that belong before those of all others.
    fn take_run(&mut self, index: usize, max: usize, lowest: Option<Place>, taken: &mut Vec<MergeRecord<R>>) {
        let next = self.heads.peek().map(|Reverse((time, index))| (Some(*time), *index));
        let waiting = &mut self.partitions[index].waiting;
        let mut is_first = true;
        while let Some(first) = waiting.front() {
            let head = (first.time, index);
            let comes = is_first || is_due(head, lowest) && is_due(head, next);
            if !comes || taken.len() == max {
                self.heads.push(Reverse((first.time.unwrap_or(Timestamp::MIN), index)));
                return;
            }
            is_first = false;
            taken.extend(waiting.pop_front());
        }
    }

    /// Brings `open` and the answer of [`is_live`](Self::is_live) up to date.
    pub(super) fn refresh(&mut self) {
        for index in std::mem::take(&mut self.moved) {
            let partition = &mut self.partitions[index];
            let entry = (partition.phase == Phase::Open).then_some((partition.frontier, index));
            if partition.entry != entry {
                partition.entry.take().into_iter().for_each(|old| {
                    self.open.remove(&old);
                });
                self.open.extend(entry);
                partition.entry = entry;
            }
        }
        self.is_live = self.is_live
            || self.heads.is_empty()
                && self.open.is_empty()
                && self.partitions.iter().all(|partition| partition.phase == Phase::Ended);
    }

    /// Returns whether all of the past is released.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Returns the number of records in the buffer.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Returns their bytes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Returns the time up to which all records are known, if every partition that counts has shown one, and `None` once the core is live.
    pub fn watermark(&mut self) -> Option<Timestamp> {
        self.refresh();
        self.open.first().and_then(|(frontier, _)| *frontier).filter(|_| !self.is_live)
    }

    /// Returns what it has counted.
    pub fn counts(&self) -> MergeCounts {
        self.counts
    }

    /// Returns what it knows of each partition.
    pub fn partitions(&self) -> &[MergePartition<R>] {
        &self.partitions
    }

    /// Returns how long a partition may bring nothing before the others stop waiting for it.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.settings.idle_timeout
    }
}

/// A time and the partition that has it, in the order of records.
type Place = (Option<Timestamp>, usize);

/// Returns whether a record comes before what another partition may still bring.
pub(super) fn is_due(head: Place, other: Option<Place>) -> bool {
    other.is_none_or(|other| head <= other)
}
