//! The pages that a reader has received and not yielded. Pure.

use std::collections::VecDeque;

use messagekit::log::Page;

/// The pages of the partitions, by the order in which the reader was opened. Those of a paused partition stay here.
#[derive(Debug, Default)]
pub(super) struct WaitingPages {
    partitions: Vec<Waiting>,
    /// For each page of a partition that is not paused, the partition.
    due: VecDeque<usize>,
}

#[derive(Debug)]
struct Waiting {
    number: i32,
    is_paused: bool,
    /// Grows with each seek: pages of an earlier round are dropped.
    round: u64,
    pages: VecDeque<Page>,
}

/// A page that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) partition: usize,
    pub(super) page: Page,
    /// The rest of the page waits.
    pub(super) has_rest: bool,
}

impl WaitingPages {
    pub(super) fn new(numbers: impl Iterator<Item = i32>) -> Self {
        let waiting = |number| Waiting { number, is_paused: false, round: 0, pages: VecDeque::new() };
        Self { partitions: numbers.map(waiting).collect(), due: VecDeque::new() }
    }

    /// Returns the index of a partition, if the reader was opened with it.
    pub(super) fn index(&self, number: i32) -> Option<usize> {
        self.partitions.iter().position(|waiting| waiting.number == number)
    }

    /// Adds a page; returns false for a page from before a seek, which is dropped.
    pub(super) fn add(&mut self, partition: usize, round: u64, page: Page) -> bool {
        let waiting = &mut self.partitions[partition];
        if waiting.round != round {
            return false;
        }
        waiting.pages.push_back(page);
        if !waiting.is_paused {
            self.due.push_back(partition);
        }
        true
    }

    /// Takes the next page that is due, with at most `max` records.
    pub(super) fn next(&mut self, max: usize) -> Option<Due> {
        let partition = *self.due.front()?;
        let pages = &mut self.partitions[partition].pages;
        if let Some(Page::Records(records)) = pages.front_mut()
            && records.len() > max.max(1)
        {
            let rest = records.split_off(max.max(1));
            let page = Page::Records(std::mem::replace(records, rest));
            return Some(Due { partition, page, has_rest: true });
        }
        self.due.pop_front();
        pages.pop_front().map(|page| Due { partition, page, has_rest: false })
    }

    pub(super) fn pause(&mut self, partition: usize) {
        self.partitions[partition].is_paused = true;
        self.due.retain(|due| *due != partition);
    }

    /// Makes the pages of a partition due again, before all others.
    pub(super) fn resume(&mut self, partition: usize) {
        let waiting = &mut self.partitions[partition];
        if std::mem::replace(&mut waiting.is_paused, false) {
            waiting.pages.iter().for_each(|_| self.due.push_front(partition));
        }
    }

    /// Drops the pages of a partition, and begins its next round. Returns the round, and how many pages were dropped.
    pub(super) fn seek(&mut self, partition: usize) -> (u64, usize) {
        self.due.retain(|due| *due != partition);
        let waiting = &mut self.partitions[partition];
        waiting.round += 1;
        (waiting.round, waiting.pages.drain(..).count())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use messagekit::log::Record;
    use messagekit::{Message, Position};

    use super::*;

    fn records(offsets: std::ops::Range<i64>) -> Page {
        let topic: Arc<str> = Arc::from("orders");
        let record = |offset| Record {
            message: Message::new(topic.clone(), "{}"),
            position: Position { topic: topic.clone(), partition: 0, offset },
            timestamp: None,
            is_tombstone: false,
        };
        Page::Records(offsets.map(record).collect())
    }

    fn next(waiting: &mut WaitingPages, max: usize) -> Option<(usize, Page)> {
        waiting.next(max).map(|due| (due.partition, due.page))
    }

    #[test]
    fn a_page_is_divided_by_who_takes_it() {
        let mut waiting = WaitingPages::new([5].into_iter());
        assert!(waiting.add(0, 0, records(0..5)) && waiting.add(0, 0, records(5..6)));
        let has_rest: Vec<bool> = std::iter::from_fn(|| waiting.next(2)).map(|due| due.has_rest).collect();
        assert_eq!(has_rest, [true, true, false, false]);
        assert!(waiting.add(0, 0, records(0..2)));
        assert_eq!(next(&mut waiting, 0), Some((0, records(0..1))));
        assert_eq!(next(&mut waiting, 9), Some((0, records(1..2))));
    }

    #[test]
    fn paused_pages_wait_and_come_first_when_resumed() {
        let mut waiting = WaitingPages::new([5, 6].into_iter());
        assert_eq!((waiting.index(6), waiting.index(7)), (Some(1), None));
        waiting.add(1, 0, records(0..1));
        waiting.pause(1);
        waiting.add(1, 0, records(1..2));
        assert_eq!(next(&mut waiting, 9), None);
        waiting.add(0, 0, records(0..9));
        waiting.resume(1);
        waiting.resume(1);
        assert_eq!(next(&mut waiting, 9), Some((1, records(0..1))));
        assert_eq!(next(&mut waiting, 9), Some((1, records(1..2))));
        assert_eq!(next(&mut waiting, 9), Some((0, records(0..9))));
        assert_eq!(next(&mut waiting, 9), None);
    }

    #[test]
    fn pages_from_before_a_seek_are_dropped() {
        let mut waiting = WaitingPages::new([5].into_iter());
        waiting.add(0, 0, records(0..1));
        assert_eq!(waiting.seek(0), (1, 1));
        assert!(!waiting.add(0, 0, records(1..2)));
        assert_eq!(next(&mut waiting, 9), None);
        assert!(waiting.add(0, 1, records(7..8)));
        assert_eq!(next(&mut waiting, 9), Some((0, records(7..8))));
    }
}
