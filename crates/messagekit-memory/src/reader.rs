//! Reads an in-memory log without a consumer.

use std::sync::Arc;
use std::task::{Context, Poll};

use jiff::Timestamp;
use messagekit::log::{Bounds, LogReader, Page, PartitionStart};
use messagekit::{Error, ErrorKind};

use super::state::{Partition, Shared, State};

pub(super) fn bounds(state: &State, topic: &str) -> Result<Vec<Bounds>, Error> {
    let found = state.topics.get(topic).ok_or_else(|| no_topic(topic))?;
    let bounds = found.partitions.iter().zip(0..).map(|(partition, number)| Bounds {
        partition: number,
        earliest: partition.start as i64,
        end: partition.end() as i64,
    });
    Ok(bounds.collect())
}

/// As [`Log::offsets_at`](messagekit::log::Log::offsets_at).
pub(super) fn offsets_at(state: &State, topic: &str, time: Timestamp) -> Result<Vec<(i32, i64)>, Error> {
    let found = state.topics.get(topic).ok_or_else(|| no_topic(topic))?;
    let first = |partition: &Partition| partition.first_since(time) as i64;
    Ok((0..).zip(found.partitions.iter().map(first)).collect())
}

/// As [`Log::committed_offsets`](messagekit::log::Log::committed_offsets).
pub(super) fn committed_offsets(
    state: &State,
    topic: &str,
    consumer: &str,
) -> Result<Vec<(i32, i64)>, Error> {
    let found = state.topics.get(topic).ok_or_else(|| no_topic(topic))?;
    let Some(group) = state.groups.get(consumer) else { return Ok(Vec::new()) };
    let committed = |partition: usize| (partition as i32, group.committed(topic, partition) as i64);
    Ok((0..found.partitions.len()).map(committed).collect())
}

pub(super) fn open(
    shared: &Arc<Shared>,
    topic: &Arc<str>,
    partitions: &[(i32, PartitionStart)],
) -> Result<Box<dyn LogReader>, Error> {
    let bounds = shared.with(|state| bounds(state, topic))?;
    let cursors = partitions.iter().map(|(number, start)| {
        let bounds = bounds.iter().find(|bounds| bounds.partition == *number).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no such partition")
                .with("topic", topic)
                .with("partition", number)
        })?;
        let next = match start {
            PartitionStart::Earliest => bounds.earliest,
            PartitionStart::End => bounds.end,
            PartitionStart::Offset(offset) => *offset,
        };
        Ok(Cursor { partition: *number, next, paused: false, dry: false })
    });
    let cursors = cursors.collect::<Result<_, Error>>()?;
    Ok(Box::new(MemoryReader { shared: shared.clone(), topic: topic.clone(), cursors, turn: 0 }))
}

fn no_topic(topic: &str) -> Error {
    Error::new(ErrorKind::NotFound, "no such topic").with("topic", topic)
}

struct MemoryReader {
    shared: Arc<Shared>,
    topic: Arc<str>,
    cursors: Vec<Cursor>,
    turn: usize,
}

struct Cursor {
    partition: i32,
    next: i64,
    paused: bool,
    /// Whether its `End` was reported and no record followed.
    dry: bool,
}

impl Cursor {
    fn page(&mut self, state: &State, topic: &str, max: usize) -> Option<Page> {
        if self.paused {
            return None;
        }
        let partition = &state.topics.get(topic)?.partitions[self.partition as usize];
        let (earliest, end) = (partition.start as i64, partition.end() as i64);
        if self.next < earliest {
            let asked = std::mem::replace(&mut self.next, earliest);
            return Some(Page::Gone { partition: self.partition, asked, earliest });
        }
        let records = partition.from(usize::try_from(self.next).unwrap_or(usize::MAX));
        if records.is_empty() {
            let was_dry = std::mem::replace(&mut self.dry, true);
            return (!was_dry).then_some(Page::End { partition: self.partition, at: end });
        }
        let records: Vec<_> = records.iter().take(max.max(1)).cloned().collect();
        self.next += records.len() as i64;
        self.dry = false;
        Some(Page::Records(records))
    }
}

impl MemoryReader {
    fn cursor(&mut self, partition: i32) -> Option<&mut Cursor> {
        self.cursors.iter_mut().find(|cursor| cursor.partition == partition)
    }
}

impl LogReader for MemoryReader {
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        let (cursors, turn, topic) = (&mut self.cursors, self.turn, &self.topic);
        let count = cursors.len();
        let found = self.shared.with(|state| {
            let found = (1..=count).map(|step| (turn + step) % count).find_map(|index| {
                let page = cursors[index].page(state, topic, max)?;
                Some((index, page))
            });
            if found.is_none() {
                state.readers.push(cx.waker().clone());
            }
            found
        });
        let Some((index, page)) = found else { return Poll::Pending };
        self.turn = index;
        Poll::Ready(Ok(page))
    }

    fn pause(&mut self, partition: i32) {
        self.cursor(partition).into_iter().for_each(|cursor| cursor.paused = true);
    }

    fn resume(&mut self, partition: i32) {
        self.cursor(partition).into_iter().for_each(|cursor| cursor.paused = false);
        // Wake the task that polls this reader: it may wait for the paused partition.
        self.shared.change(|_| ());
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        self.cursor(partition).into_iter().for_each(|cursor| (cursor.next, cursor.dry) = (offset, false));
        self.shared.change(|_| ());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::MemoryLog;
    use messagekit::adapter::Publisher;
    use messagekit::log::Log;
    use messagekit::{ErrorKind, Message};

    async fn publish(log: &MemoryLog, count: usize) {
        let batch: Vec<Message> =
            (0..count).map(|number| Message::new("orders", number.to_string())).collect();
        assert!(log.publish(&batch).await.iter().all(Result::is_ok));
    }

    fn offsets(page: Page) -> Vec<i64> {
        match page {
            Page::Records(records) => records.iter().map(|record| record.position.offset).collect(),
            other => panic!("{other:?} instead of records"),
        }
    }

    #[tokio::test]
    async fn a_reader_goes_on_and_tells_each_time_it_runs_dry_once() {
        let (log, topic) = (MemoryLog::new(1), Arc::from("orders"));
        publish(&log, 5).await;
        let mut reader = log.open(&topic, &[(0, PartitionStart::Offset(1))]).await.unwrap();
        let mut page = async |max: usize| poll_fn(|cx| reader.poll_page(max, cx)).await.unwrap();
        assert_eq!(offsets(page(3).await), [1, 2, 3]);
        assert_eq!(offsets(page(3).await), [4]);
        assert_eq!(page(3).await, Page::End { partition: 0, at: 5 });
        let late = tokio::spawn({
            let log = log.clone();
            async move { publish(&log, 1).await }
        });
        assert_eq!(offsets(page(3).await), [5]);
        assert_eq!(page(3).await, Page::End { partition: 0, at: 6 });
        late.await.unwrap();
    }

    #[tokio::test]
    async fn deleted_records_are_gone_and_said_to_be() {
        let (log, topic) = (MemoryLog::new(1), Arc::from("orders"));
        publish(&log, 5).await;
        log.delete_before("orders", 0, 3);
        assert_eq!(log.bounds("orders").await.unwrap(), [Bounds { partition: 0, earliest: 3, end: 5 }]);
        let mut reader = log.open(&topic, &[(0, PartitionStart::Offset(0))]).await.unwrap();
        let mut page = async || poll_fn(|cx| reader.poll_page(9, cx)).await.unwrap();
        assert_eq!(page().await, Page::Gone { partition: 0, asked: 0, earliest: 3 });
        assert_eq!(offsets(page().await), [3, 4]);
    }

    #[tokio::test]
    async fn pausing_and_seeking_are_for_one_partition() {
        let (log, topic) = (MemoryLog::new(2), Arc::from("orders"));
        publish(&log, 2).await;
        publish(&log, 2).await;
        let mut reader =
            log.open(&topic, &[(0, PartitionStart::Earliest), (1, PartitionStart::End)]).await.unwrap();
        reader.pause(0);
        assert_eq!(poll_fn(|cx| reader.poll_page(9, cx)).await.unwrap(), Page::End { partition: 1, at: 2 });
        reader.seek(1, 1);
        assert_eq!(offsets(poll_fn(|cx| reader.poll_page(9, cx)).await.unwrap()), [1]);
        reader.resume(0);
        assert_eq!(offsets(poll_fn(|cx| reader.poll_page(9, cx)).await.unwrap()), [0, 1]);
    }

    #[tokio::test]
    async fn what_is_not_there_cannot_be_opened() {
        let log = MemoryLog::new(1);
        assert_eq!(log.bounds("orders").await.unwrap_err().kind(), ErrorKind::NotFound);
        publish(&log, 1).await;
        let opened = log.open(&Arc::from("orders"), &[(7, PartitionStart::Earliest)]).await;
        assert_eq!(opened.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    }
}
