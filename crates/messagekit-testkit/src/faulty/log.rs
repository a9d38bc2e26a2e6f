//! A log with one fault.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, Page, PartitionStart};
use messagekit_memory::MemoryStore;

use super::Fault;

/// The log of a [`MemoryStore`] with one fault or none.
pub(super) struct FaultyLog {
    pub(super) inner: MemoryStore,
    pub(super) fault: Option<Fault>,
}

struct FaultyReader {
    inner: Box<dyn LogReader>,
    is_at_end: bool,
    fault: Option<Fault>,
}

impl Log for FaultyLog {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move {
            let mut bounds = self.inner.bounds(topic).await?;
            if self.fault == Some(Fault::LogForgetsItsEnd) {
                let empty = bounds.iter_mut().filter(|bounds| bounds.earliest == bounds.end);
                empty.for_each(|bounds| (bounds.earliest, bounds.end) = (0, 0));
            }
            Ok(bounds)
        })
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move {
            let mut offsets = self.inner.offsets_at(topic, time).await?;
            if self.fault == Some(Fault::LogFindsLaterRecords) {
                offsets.iter_mut().for_each(|(_, offset)| *offset += 1);
            }
            Ok(offsets)
        })
    }

    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move {
            let found = self.inner.committed_offsets(topic, consumer).await?;
            if found.is_empty() && self.fault == Some(Fault::LogInventsPositions) {
                let bounds = self.inner.bounds(topic).await?;
                return Ok(bounds.iter().map(|bounds| (bounds.partition, bounds.earliest)).collect());
            }
            Ok(found)
        })
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move {
            let inner = self.inner.open(topic, partitions).await?;
            Ok(Box::new(FaultyReader { inner, is_at_end: false, fault: self.fault }) as Box<dyn LogReader>)
        })
    }
}

impl LogReader for FaultyReader {
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        match (ready!(self.inner.poll_page(max, cx))?, self.fault) {
            (Page::Gone { .. }, Some(Fault::LogHidesDeletions)) => self.poll_page(max, cx),
            (Page::Records(mut records), Some(Fault::LogForgetsTimes)) => {
                records.iter_mut().for_each(|record| record.timestamp = None);
                Poll::Ready(Ok(Page::Records(records)))
            }
            (Page::Records(mut records), Some(Fault::LogSkipsNewRecords)) if self.is_at_end => {
                self.is_at_end = records.len() < 2;
                records.remove(0);
                if records.is_empty() {
                    self.poll_page(max, cx)
                } else {
                    Poll::Ready(Ok(Page::Records(records)))
                }
            }
            (page @ Page::End { .. }, _) => {
                self.is_at_end = true;
                Poll::Ready(Ok(page))
            }
            (Page::Records(mut records), Some(Fault::LogSkipsRecords)) => {
                records.retain(|record| record.position.offset % 10 != 9);
                Poll::Ready(Ok(Page::Records(records)))
            }
            (page, _) => Poll::Ready(Ok(page)),
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
