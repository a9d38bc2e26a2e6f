//! How much of a log is on its way from the thread that reads Kafka to the reader that yields it.
//!
//! `tests/threads` compiles this file against shuttle's atomics and explores the interleavings of both.

use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// How many pages of a partition may be on their way or held while it is paused.
pub(super) const PAGES: usize = 4;
/// How many bytes may be on their way, the last page not counted.
pub(super) const BYTES: usize = 8 * 1024 * 1024;
/// What the pages that are held for paused partitions may have together.
pub(super) const HELD: usize = 16 * 1024 * 1024;
/// The smallest and the largest limit of a page, in bytes.
pub(super) const PAGE: (usize, usize) = (16 * 1024, 1024 * 1024);
/// The limits of a page before the first poll says how many records it takes, and whatever it says.
pub(super) const RECORDS: (usize, usize) = (1_000, 10_000);

/// The pages that the thread has sent and the reader has not yielded.
pub(super) struct Flow {
    /// By partition, in the order in which the reader was opened.
    pages: Box<[AtomicUsize]>,
    /// The pages that the reader has not received.
    bytes: AtomicUsize,
    has_error: AtomicBool,
    /// The thread waits for room.
    is_waiting: AtomicBool,
    page_records: AtomicUsize,
    page_bytes: usize,
}

impl Flow {
    pub(super) fn new(partitions: usize) -> Self {
        Self {
            pages: (0..partitions).map(|_| AtomicUsize::default()).collect(),
            bytes: AtomicUsize::default(),
            has_error: AtomicBool::default(),
            is_waiting: AtomicBool::default(),
            page_records: AtomicUsize::new(RECORDS.0),
            page_bytes: (HELD / PAGES / partitions.max(1)).clamp(PAGE.0, PAGE.1),
        }
    }

    /// Returns the most records and bytes of a page.
    pub(super) fn page_limits(&self) -> (usize, usize) {
        (self.page_records.load(Ordering::Relaxed), self.page_bytes)
    }

    /// Sets how many records the reader takes at once.
    pub(super) fn wish(&self, records: usize) {
        self.page_records.store(records.clamp(1, RECORDS.1), Ordering::Relaxed);
    }

    pub(super) fn has_room(&self, partition: usize) -> bool {
        self.pages[partition].load(Ordering::SeqCst) < PAGES && self.bytes.load(Ordering::SeqCst) < BYTES
    }

    /// Makes the reader wake the thread from now on. The thread looks for room once more before it sleeps: the reader may have made some
    /// before this. Returns whether it has to.
    pub(super) fn wait(&self) -> bool {
        !self.is_waiting.swap(true, Ordering::SeqCst)
    }

    pub(super) fn sent(&self, partition: usize, bytes: usize) {
        self.pages[partition].fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Notes that the reader has received a page; returns whether the thread should be woken.
    pub(super) fn received(&self, bytes: usize) -> bool {
        let had = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        had >= BYTES / 2 && had - bytes < BYTES / 2 && self.is_waiting.swap(false, Ordering::SeqCst)
    }

    /// Notes that pages of a partition were yielded or dropped; returns whether the thread should be woken.
    pub(super) fn returned(&self, partition: usize, pages: usize) -> bool {
        let had = self.pages[partition].fetch_sub(pages, Ordering::SeqCst);
        had > PAGES / 2 && had - pages <= PAGES / 2 && self.is_waiting.swap(false, Ordering::SeqCst)
    }

    /// Returns whether the thread may send an error: one is on its way at a time.
    pub(super) fn may_report(&self) -> bool {
        !self.has_error.swap(true, Ordering::SeqCst)
    }

    pub(super) fn reported(&self) {
        self.has_error.store(false, Ordering::SeqCst);
    }
}
