//! Faults of the log of a database.

use std::task::{Context, Poll, ready};

use messagekit::Error;
use messagekit::log::{Log, LogReader, Page};

use super::methods::faults;
use super::store::Fault;
use super::{Row, Suite};

/// What a fault makes of a page, if anything. Its argument is whether the reader was at the end before.
type Spoil = fn(bool, Page) -> Option<Page>;

struct FaultyReader {
    inner: Box<dyn LogReader>,
    was_at_end: bool,
    spoil: Spoil,
}

impl LogReader for FaultyReader {
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        loop {
            let page = ready!(self.inner.poll_page(max, cx))?;
            let was_at_end = std::mem::replace(&mut self.was_at_end, matches!(page, Page::End { .. }));
            if let Some(page) = (self.spoil)(was_at_end, page) {
                return Poll::Ready(Ok(page));
            }
        }
    }

    fn pause(&mut self, partition: i32) {
        self.inner.pause(partition);
    }

    fn resume(&mut self, partition: i32) {
        self.inner.resume(partition);
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        self.inner.seek(partition, offset);
    }
}

/// A fault of the pages of a reader.
macro_rules! page_faults {
    ($($(#[doc = $doc:literal])+ $case:ident: $spoil:expr;)+) => {
        faults! {$(
            $(#[doc = $doc])+
            Log $case:
                call open: |faulty, topic, partitions| {
                    let (inner, spoil): (_, Spoil) = (faulty.inner.open(topic, partitions).await?, $spoil);
                    Ok(Box::new(FaultyReader { inner, was_at_end: false, spoil }) as Box<dyn LogReader>)
                };
        )+}
    };
}

pub(super) static PAGE_ROWS: &[Row<Fault>] = page_faults! {
    /// A reader skips each tenth record.
    reader_skips_no_record_of_concurrent_writers: |_, mut page| {
        if let Page::Records(records) = &mut page {
            records.retain(|record| record.position.offset % 10 != 9);
        }
        Some(page)
    };
    /// A reader continues behind deleted records and reports no gap.
    overtaken_reader_learns_what_was_deleted:
        |_, page| Some(page).filter(|page| !matches!(page, Page::Gone { .. }));
    /// Records come without the time at which they were stored.
    topics_come_in_the_order_of_their_time: |_, mut page| {
        if let Page::Records(records) = &mut page {
            records.iter_mut().for_each(|record| record.timestamp = None);
        }
        Some(page)
    };
    /// A reader at the end skips the first record that is new.
    a_live_reader_sees_what_is_new: |was_at_end, mut page| match &mut page {
        Page::Records(records) if was_at_end => {
            records.remove(0);
            (!records.is_empty()).then_some(page)
        }
        _ => Some(page),
    };
};

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// A partition without records begins again.
    Log next_offset_outlives_the_records:
        answer bounds: |_, bounds| {
            let empty = bounds.iter_mut().filter(|bounds| bounds.earliest == bounds.end);
            empty.for_each(|bounds| (bounds.earliest, bounds.end) = (0, 0));
        };
    /// A time finds the record behind the first one.
    Log times_find_the_first_record_since_then:
        answer offsets_at: |_, offsets| offsets.iter_mut().for_each(|(_, offset)| *offset += 1);
    /// A consumer that never began has a position.
    Log positions_of_a_consumer_are_found:
        call committed_offsets: |faulty, topic, consumer| {
            let found = faulty.inner.committed_offsets(topic, consumer).await?;
            if found.is_empty() {
                let bounds = faulty.inner.bounds(topic).await?;
                return Ok(bounds.iter().map(|bounds| (bounds.partition, bounds.earliest)).collect());
            }
            Ok(found)
        };
};
