//! How far a priming is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::Position;
use crate::log::PartitionState;

/// How far a priming is, counted in offsets. Offsets without a record, as of a compacted topic, count when they are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimingProgress {
    /// Offsets of the past that are handled, since this run began. What was written since is handled, too, and does not count.
    pub done: u64,
    /// Offsets of the past, as of this run's beginning.
    pub total: u64,
    /// How long this run takes so far.
    pub elapsed: Duration,
}

impl PrimingProgress {
    /// Returns the offsets per second of this run.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns how long the rest takes at this rate; `None` before the first record.
    pub fn left(&self) -> Option<Duration> {
        let left = self.total.saturating_sub(self.done) as f64 / self.rate();
        Duration::try_from_secs_f64(left).ok().filter(|_| self.done > 0)
    }
}

/// One line of at most 80 characters: a bar, the share, the rate and the time left.
impl fmt::Display for PrimingProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: u64 = 20;
        let share =
            |of: u64| self.done.min(self.total).checked_mul(of).map_or(0, |part| part / self.total.max(1));
        let filled = if self.total == 0 { WIDTH } else { share(WIDTH) } as usize;
        let bar: String = (0..WIDTH as usize).map(|at| if at < filled { '#' } else { '.' }).collect();
        write!(f, "[{bar}] {} of {} records, {:.0}/s", self.done, self.total, self.rate())?;
        match self.left() {
            Some(left) => write!(f, ", {} s left", left.as_secs()),
            None => Ok(()),
        }
    }
}

/// Counts the offsets that a priming passes.
#[derive(Debug)]
pub(super) struct OffsetCounter {
    begun: Instant,
    /// The offset to settle next, and the end of the past, by topic and partition.
    next: HashMap<(Arc<str>, i32), (i64, i64)>,
    done: u64,
    total: u64,
}

impl OffsetCounter {
    pub(super) fn new(partitions: &[PartitionState]) -> Self {
        let next = partitions.iter().map(|of| {
            ((Arc::clone(&of.topic), of.partition), (of.replay_start_offset, of.replay_end_offset))
        });
        let total = partitions.iter().map(|of| offsets(of.replay_start_offset, of.replay_end_offset)).sum();
        Self { begun: Instant::now(), next: next.collect(), done: 0, total }
    }

    pub(super) fn settled(&mut self, position: &Position) {
        if let Some((next, end)) = self.next.get_mut(&(Arc::clone(&position.topic), position.partition)) {
            let settled = position.offset.saturating_add(1).min(*end);
            self.done += offsets(*next, settled);
            *next = settled.max(*next);
        }
    }

    pub(super) fn progress(&self) -> PrimingProgress {
        PrimingProgress { done: self.done, total: self.total, elapsed: self.begun.elapsed() }
    }
}

fn offsets(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_how_long_it_takes() {
        let progress = PrimingProgress { done: 250, total: 1_000, elapsed: Duration::from_secs(5) };
        assert_eq!(progress.to_string(), "[#####...............] 250 of 1000 records, 50/s, 15 s left");
        let begun = PrimingProgress { done: 0, total: 1_000, elapsed: Duration::ZERO };
        assert_eq!(begun.to_string(), "[....................] 0 of 1000 records, 0/s");
        let none = PrimingProgress { done: 0, total: 0, elapsed: Duration::from_secs(1) };
        assert_eq!(none.to_string(), "[####################] 0 of 0 records, 0/s");
    }

    #[test]
    fn what_is_written_meanwhile_does_not_count_as_past() {
        let state = |partition: i32, start: i64, end: i64| PartitionState {
            topic: "orders".into(),
            partition,
            replay_start_offset: start,
            replay_end_offset: end,
            consumed_offset: start,
            released_offset: start,
            last_consumed_timestamp: None,
            is_live: false,
            is_paused: false,
        };
        let mut passed = OffsetCounter::new(&[state(0, 2, 5), state(1, 0, 4)]);
        let mut settled = |partition, offset| {
            passed.settled(&Position { topic: "orders".into(), partition, offset });
            passed.progress().done
        };
        assert_eq!(settled(0, 3), 2);
        assert_eq!([settled(0, 7), settled(0, 8)], [3, 3], "partition 0 goes on behind its past");
        assert_eq!([settled(1, 2), settled(1, 3), settled(1, 4)], [6, 7, 7]);
        assert_eq!(passed.progress().total, 7);
    }
}
