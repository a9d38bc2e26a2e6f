//! Where a reader is in a partition, and what its client has to do for that. Pure.

use messagekit::log::{Bounds, Page, PartitionStart};
use messagekit::{Error, ErrorKind};

/// The position of a reader in one partition.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    partition: i32,
    /// The offset of the next record.
    next: i64,
    /// Everything before `next` was read or is known to hold no record; otherwise the caller has chosen `next`.
    is_reached: bool,
    /// A lower bound of the partition's end.
    end: i64,
    /// The end that the caller knows, until a record follows.
    ended_at: Option<i64>,
}

impl Cursor {
    /// Begins in a partition that has these bounds; [`found`](Self::found) says what to fetch.
    pub(super) fn new(start: PartitionStart, bounds: &Bounds) -> Self {
        let next = match start {
            PartitionStart::Earliest => bounds.earliest,
            PartitionStart::End => bounds.end,
            PartitionStart::Offset(offset) => offset,
        };
        Self { partition: bounds.partition, next, is_reached: false, end: bounds.end, ended_at: None }
    }

    /// Returns the partition.
    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns whether no record was read and none is skipped.
    pub(super) fn is_at_start(&self) -> bool {
        self.next == 0
    }

    /// Takes the bounds of the partition, and returns the offset to fetch from, with the page to yield first, if any.
    ///
    /// An offset that is not written yet is fetched from the end, because the broker refuses it; the records before it are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::WrongState`] if the partition ends before what was read.
    pub(super) fn found(&mut self, bounds: &Bounds) -> Result<(i64, Option<Page>), Error> {
        self.end = self.end.max(bounds.end);
        if self.next < bounds.earliest {
            let asked = std::mem::replace(&mut self.next, bounds.earliest);
            (self.is_reached, self.ended_at) = (false, None);
            let gone = Page::Gone { partition: self.partition, asked, earliest: bounds.earliest };
            return Ok((bounds.earliest, Some(gone)));
        }
        if self.next > bounds.end && self.is_reached {
            let text = "partition ends before what was read of it: it was truncated or made anew; open the reader again";
            return Err(Error::new(ErrorKind::WrongState, text)
                .with("partition", self.partition)
                .with("read", self.next)
                .with("end", bounds.end));
        }
        Ok((self.next.min(bounds.end), None))
    }

    /// Moves behind a record; returns whether the caller gets it.
    pub(super) fn record(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset.saturating_add(1);
        self.end = self.end.max(self.next);
        (self.is_reached, self.ended_at) = (true, None);
        true
    }

    /// Notes that the client has reached the end, at this offset if it says so; returns the page to yield, once per end.
    pub(super) fn end(&mut self, at: Option<i64>) -> Option<Page> {
        let at = at.unwrap_or(self.end);
        self.end = self.end.max(at);
        if self.next <= at {
            (self.next, self.is_reached) = (at, true);
        }
        let is_new = self.ended_at.replace(at) != Some(at);
        is_new.then_some(Page::End { partition: self.partition, at })
    }

    /// Returns the offset of the next record, if the partition is known to reach it.
    pub(super) fn known(&self) -> Option<i64> {
        (0..=self.end).contains(&self.next).then_some(self.next)
    }

    /// Goes to an offset of the caller. Returns the offset to fetch from; `None` if the bounds have to be asked first.
    pub(super) fn seek(&mut self, offset: i64) -> Option<i64> {
        self.next = offset;
        (self.is_reached, self.ended_at) = (false, None);
        self.known()
    }
}

/// Returns the offset in the client library's text about the end of a partition, which its wrapper passes on without the number itself.
///
/// Without it the end is where the last record was, as if no transaction had ended behind it.
pub(super) fn end_offset(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("end of partition at offset ")?;
    let digits = rest.split(|other: char| !other.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { partition: 3, earliest: 10, end: 20 };

    fn at(start: PartitionStart) -> Cursor {
        Cursor::new(start, &BOUNDS)
    }

    #[test]
    fn a_start_is_fetched_where_the_broker_has_it() {
        for (start, fetched) in [
            (PartitionStart::Earliest, 10),
            (PartitionStart::End, 20),
            (PartitionStart::Offset(15), 15),
            (PartitionStart::Offset(20), 20),
            (PartitionStart::Offset(25), 20),
        ] {
            assert_eq!(at(start).found(&BOUNDS).unwrap(), (fetched, None), "{start:?}");
        }
        let gone = Page::Gone { partition: 3, asked: 4, earliest: 10 };
        assert_eq!(at(PartitionStart::Offset(4)).found(&BOUNDS).unwrap(), (10, Some(gone)));
    }

    #[test]
    fn records_before_an_unwritten_offset_are_passed_over() {
        let mut cursor = at(PartitionStart::Offset(22));
        assert_eq!(cursor.end(Some(20)), Some(Page::End { partition: 3, at: 20 }));
        assert!(!cursor.record(20) && !cursor.record(21) && cursor.record(22));
        assert_eq!(cursor.end(Some(23)), Some(Page::End { partition: 3, at: 23 }));
    }

    #[test]
    fn each_end_is_yielded_once() {
        let mut cursor = at(PartitionStart::Earliest);
        assert!(cursor.record(10) && cursor.record(12) && !cursor.record(12));
        let end = |at| Some(Page::End { partition: 3, at });
        assert_eq!(cursor.end(Some(15)), end(15));
        assert_eq!(cursor.end(Some(15)), None);
        assert_eq!(cursor.end(Some(17)), end(17), "a transaction was aborted");
        assert!(cursor.record(17));
        assert_eq!(cursor.end(Some(18)), end(18));
        assert_eq!((cursor.seek(18), cursor.end(Some(18))), (Some(18), end(18)));
    }

    #[test]
    fn what_retention_removed_is_gone_also_behind_an_end() {
        let mut cursor = at(PartitionStart::End);
        assert!(cursor.end(Some(20)).is_some());
        let later = Bounds { earliest: 30, end: 31, ..BOUNDS };
        let gone = Page::Gone { partition: 3, asked: 20, earliest: 30 };
        assert_eq!(cursor.found(&later).unwrap(), (30, Some(gone)));
        assert_eq!(cursor.found(&later).unwrap(), (30, None));
    }

    #[test]
    fn a_truncated_partition_is_an_error() {
        let mut cursor = at(PartitionStart::Offset(19));
        assert!(cursor.record(19));
        let error = cursor.found(&Bounds { end: 15, ..BOUNDS }).unwrap_err();
        assert_eq!((error.kind(), error.context("read")), (ErrorKind::WrongState, Some("20")));
    }

    #[test]
    fn a_seek_beyond_the_known_end_asks_for_the_bounds() {
        let mut cursor = at(PartitionStart::Earliest);
        assert_eq!((cursor.seek(20), cursor.seek(21), cursor.seek(-5)), (Some(20), None, None));
        assert_eq!(cursor.found(&BOUNDS).unwrap().0, 10);
        assert!(cursor.record(29));
        assert_eq!(cursor.seek(30), Some(30));
    }

    #[test]
    fn an_end_without_its_offset_is_the_last_one_known() {
        let mut cursor = at(PartitionStart::Offset(15));
        assert!(cursor.record(15));
        assert_eq!(cursor.end(None), Some(Page::End { partition: 3, at: 20 }));
    }

    #[test]
    fn the_offset_of_an_end_is_read_from_the_text() {
        let text = "Fetch from broker 1 reached end of partition at offset 4711 (HighwaterMark 4712)";
        assert_eq!(end_offset(text), Some(4711));
        assert_eq!(end_offset("Fetch from broker 1 failed: 5"), None);
    }
}
