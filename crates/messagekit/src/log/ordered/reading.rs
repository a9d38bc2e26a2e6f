//! How an ordered reader moves records from its topics through the merge.

use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::merge_record::MergeRecord;
use super::reader::OrderedReader;
use super::topic_reader::Followed;
use crate::Error;
use crate::log::{Page, Record};

impl OrderedReader {
    /// Reads what is there, at most a batch or what there is room for. Returns whether there was anything.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        self.poll_look(cx);
        let before = self.core.counts().consumed;
        let mut has_read = self.feed();
        while self.pages.is_empty() && self.core.counts().consumed - before < self.batch_size.get() as u64 {
            let room = self.core.room();
            if room == 0 {
                break;
            }
            match self.poll_page(room, cx) {
                Poll::Ready(page) => self.take_page(page?),
                Poll::Pending => break,
            }
            has_read = true;
        }
        Ok(has_read)
    }

    /// Waits until something was read.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.read(cx) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Yields a page of the topic whose turn it is, or of the next one that has one.
    fn poll_page(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<Result<(usize, Page), Error>> {
        let max = room.min(self.batch_size.get());
        for _ in 0..self.topics.len() {
            self.turn = (self.turn + 1) % self.topics.len();
            if let Poll::Ready(page) = self.topics[self.turn].poll_page(max, cx) {
                return Poll::Ready(page.map(|page| (self.turn, page)));
            }
        }
        Poll::Pending
    }

    fn take_page(&mut self, (topic, page): (usize, Page)) {
        match page {
            Page::Records(records) => {
                let index =
                    records.first().and_then(|first| self.topics[topic].index(first.position.partition));
                if let Some(index) = index {
                    self.pages.push_back((index, records.into()));
                    self.feed();
                }
            }
            Page::End { partition, at } => self.end(topic, partition, at),
            Page::Gone { partition, asked, earliest } => {
                self.deleted += earliest.abs_diff(asked);
                let topic_name = &self.topics[topic].topic;
                tracing::warn!(topic = %topic_name, partition, asked, earliest, "records were deleted before they were read");
                self.end(topic, partition, earliest);
            }
        }
    }

    /// Notes that a partition has no record before this offset. Its past has ended there, also if its last offsets have none; not if a broker
    /// that lags behind has answered.
    fn end(&mut self, topic: usize, partition: i32, at: i64) {
        let Some(index) = self.topics[topic].index(partition) else { return };
        self.followed[index].reach(at);
        if at >= self.followed[index].end {
            self.core.on_end(index);
            self.steer();
        }
    }

    /// Moves records of pages into the merge as long as it has room. Returns whether there were any.
    fn feed(&mut self) -> bool {
        let now = Timestamp::now();
        let mut has_fed = false;
        while let Some((index, mut page)) = self.pages.pop_front() {
            let room = self.core.room();
            has_fed |= room > 0;
            page.drain(..room.min(page.len())).for_each(|record| {
                let Followed { end, .. } = self.followed[index];
                if record.position.offset >= end {
                    self.core.on_end(index);
                }
                let (offset, time, bytes) = (record.position.offset, record.timestamp, record.message.size());
                self.core.on_record(MergeRecord { partition: index, offset, time, bytes, record }, now);
                self.followed[index].reach(offset.saturating_add(1));
                if offset + 1 == end {
                    self.core.on_end(index);
                }
            });
            (self.followed[index].waited, self.followed[index].fed) = (Duration::ZERO, Some(Instant::now()));
            if !page.is_empty() {
                self.pages.push_front((index, page));
                break;
            }
        }
        self.steer();
        has_fed
    }

    pub(super) fn take(&mut self) -> Vec<MergeRecord<Record>> {
        let taken = self.core.take(self.batch_size.get());
        if !taken.is_empty() {
            self.steer();
        }
        self.report();
        taken
    }

    /// Pauses partitions and resumes them as the merge asks.
    pub(super) fn steer(&mut self) {
        for index in 0..self.followed.len() {
            let is_paused = self.core.wants_pause(index);
            if !is_paused && !self.core.wants_resume(index) {
                continue;
            }
            self.core.set_paused(index, is_paused);
            let Followed { topic, partition, .. } = &self.followed[index];
            let reader = self.topics.iter_mut().find(|reader| reader.topic == *topic);
            reader.into_iter().for_each(|reader| reader.set_paused(*partition, is_paused));
        }
    }
}
