//! A partition that a reader's thread reads: its queue, and what has to be done for it next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use messagekit::Error;
use messagekit::log::{Bounds, Page};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;

use super::cursor::{Cursor, end_offset};
use super::page_builder::PageBuilder;
use crate::context::Context;

/// What has to be done for a partition next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read what comes.
    Read,
    /// Make the client fetch from this offset.
    Fetch(i64),
    /// Ask for the bounds: the broker does not have the offset.
    Ask,
    /// The bounds were asked for.
    Wait,
    /// Nothing, until the caller seeks: the partition is not the one that was read.
    Stop,
}

/// What was read of a partition.
pub(super) struct Read {
    /// Records with the memory that they take.
    pub(super) records: Option<(Page, usize)>,
    pub(super) end: Option<Page>,
    pub(super) error: Option<KafkaError>,
}

/// Makes a queue wake the calling thread, and say that it has something.
fn wake_by(queue: &mut PartitionQueue<Context>, is_ready: &Arc<AtomicBool>) {
    let (ready, thread) = (Arc::clone(is_ready), thread::current());
    queue.set_nonempty_callback(move || {
        ready.store(true, Ordering::SeqCst);
        thread.unpark();
    });
}

/// A partition and its queue.
pub(super) struct Partition {
    pub(super) cursor: Cursor,
    queue: PartitionQueue<Context>,
    page: PageBuilder,
    /// The queue of a paused partition is not polled: what was fetched ahead stays, and the library stops at its limits.
    pub(super) is_paused: bool,
    /// The seeks so far.
    pub(super) round: u64,
    pub(super) step: Step,
    /// The queue may have something. The library sets this when the queue was empty and no longer is.
    is_ready: Arc<AtomicBool>,
}

impl Partition {
    /// Begins with a queue that wakes the calling thread.
    pub(super) fn new(topic: &Arc<str>, cursor: Cursor, mut queue: PartitionQueue<Context>) -> Self {
        let is_ready = Arc::new(AtomicBool::new(true));
        wake_by(&mut queue, &is_ready);
        let page = PageBuilder::new(Arc::clone(topic), cursor.partition());
        Self { cursor, queue, page, is_paused: false, round: 0, step: Step::Read, is_ready }
    }

    /// Goes on with the queue of another client, which fetches nothing yet and was asked nothing.
    pub(super) fn go_on(&mut self, mut queue: PartitionQueue<Context>) {
        wake_by(&mut queue, &self.is_ready);
        self.queue = queue;
        if matches!(self.step, Step::Read | Step::Wait) {
            self.step = self.cursor.known().map_or(Step::Ask, Step::Fetch);
        }
    }

    pub(super) fn set_ready(&self) {
        self.is_ready.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.is_paused && self.step == Step::Read && self.is_ready.load(Ordering::SeqCst)
    }

    /// Goes to an offset of the caller.
    pub(super) fn seek(&mut self, offset: i64, round: u64) {
        self.round = round;
        self.step = self.cursor.seek(offset).map_or(Step::Ask, Step::Fetch);
    }

    /// Fetches from the cursor again.
    pub(super) fn fetch_again(&mut self) {
        if self.step == Step::Read {
            self.step = Step::Ask;
        }
    }

    /// Reads no more.
    pub(super) fn stop(&mut self) {
        self.step = Step::Stop;
    }

    /// Notes that the bounds are asked for; returns the number of the partition.
    pub(super) fn ask(&mut self) -> i32 {
        self.step = Step::Wait;
        self.cursor.partition()
    }

    /// Takes the answer for this partition if it waits for one; returns the page about what is gone, if any.
    ///
    /// # Errors
    /// Permanent if the partition is not the one that was read.
    pub(super) fn found(&mut self, bounds: Option<&Bounds>) -> Result<Option<Page>, Error> {
        if self.step != Step::Wait {
            return Ok(None);
        }
        let Some(bounds) = bounds else {
            self.step = Step::Ask;
            return Ok(None);
        };
        // Unless the cursor says where to go on.
        self.step = Step::Stop;
        let (offset, gone) = self.cursor.found(bounds)?;
        self.step = Step::Fetch(offset);
        Ok(gone)
    }

    /// Takes what the queue has, up to a number of records and bytes; `None` if it has nothing. `reason` returns the library's text about
    /// the error that it has just returned.
    pub(super) fn read(
        &mut self,
        (records, bytes): (usize, usize),
        reason: impl Fn() -> String,
    ) -> Option<Read> {
        // Before the queue is found empty: what comes then sets it again.
        self.is_ready.store(false, Ordering::SeqCst);
        let event = loop {
            if self.page.len() >= records || self.page.bytes() >= bytes {
                self.set_ready();
                break None;
            }
            match self.queue.poll(Duration::ZERO) {
                None => break None,
                Some(Ok(record)) => {
                    if self.cursor.record(record.offset()) {
                        self.page.push(&record);
                    }
                }
                Some(Err(error)) => {
                    self.set_ready();
                    break Some(error);
                }
            }
        };
        let bytes = self.page.bytes();
        let records = (self.page.len() > 0).then(|| (Page::Records(self.page.take()), bytes));
        let (end, error) = match event {
            None if records.is_none() => return None,
            None => (None, None),
            Some(KafkaError::PartitionEOF(_)) => (self.cursor.end(end_offset(&reason())), None),
            Some(error) if error.rdkafka_error_code() == Some(Code::AutoOffsetReset) => {
                self.step = Step::Ask;
                (None, None)
            }
            Some(error) => (None, Some(error)),
        };
        Some(Read { records, end, error })
    }
}
