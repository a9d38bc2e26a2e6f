//! A log whose records appear when a test says so, with the times that it gives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, Page, PartitionStart, Record};
use messagekit::{Error, ErrorKind, Message, Position};

/// A handle to the log.
#[derive(Clone, Default)]
pub(super) struct ScriptedLog(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    partitions: BTreeMap<(String, i32), Scripted>,
    fails: u32,
    wakers: Vec<Waker>,
}

struct Scripted {
    bounds: Bounds,
    records: Vec<Record>,
    /// How often its end was reached.
    ends: usize,
}

impl ScriptedLog {
    /// Makes a partition with these offsets.
    pub(super) fn partition(&self, topic: &str, partition: i32, earliest: i64, end: i64) {
        let bounds = Bounds { partition, earliest, end };
        self.change(|script| {
            script
                .partitions
                .insert((topic.to_owned(), partition), Scripted { bounds, records: vec![], ends: 0 });
        });
    }

    /// Lets a record appear.
    pub(super) fn put(&self, topic: &str, partition: i32, offset: i64, millis: Option<i64>) {
        let position = Position { topic: topic.into(), partition, offset };
        let message = Message::new(topic, format!("{topic}/{partition}/{offset}"));
        let timestamp = millis.map(|millis| Timestamp::from_millisecond(millis).expect("a time"));
        let record = Record { message, position, timestamp, is_tombstone: false };
        self.change(|script| script.of(topic, partition).records.push(record));
    }

    /// Lets its reader reach the end of a partition.
    pub(super) fn reach_end(&self, topic: &str, partition: i32) {
        self.change(|script| script.of(topic, partition).ends += 1);
    }

    /// Lets the next read fail.
    pub(super) fn fail_once(&self) {
        self.change(|script| script.fails += 1);
    }

    /// Deletes the records of a partition before an offset.
    pub(super) fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        self.change(|script| {
            let of = script.of(topic, partition);
            of.bounds.earliest = offset;
            of.records.retain(|record| record.position.offset >= offset);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        let mut script = self.0.lock().expect("no reader panics");
        change(&mut script);
        script.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Script {
    fn of(&mut self, topic: &str, partition: i32) -> &mut Scripted {
        self.partitions.get_mut(&(topic.to_owned(), partition)).expect("the partition is there")
    }

    fn of_topic(&self, topic: &str) -> Result<Vec<&Scripted>, Error> {
        let found = self.partitions.iter().filter(|((name, _), _)| name == topic);
        let found: Vec<_> = found.map(|(_, scripted)| scripted).collect();
        if found.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "no such topic").with("topic", topic));
        }
        Ok(found)
    }
}

struct Reader {
    log: ScriptedLog,
    topic: Arc<str>,
    cursors: Vec<Cursor>,
}

struct Cursor {
    partition: i32,
    next: i64,
    ends: usize,
    is_paused: bool,
}

impl Cursor {
    fn page(&mut self, scripted: &Scripted, max: usize) -> Option<Page> {
        let Bounds { partition, earliest, end } = scripted.bounds;
        if self.is_paused {
            return None;
        }
        if self.next < earliest {
            let asked = std::mem::replace(&mut self.next, earliest);
            return Some(Page::Gone { partition, asked, earliest });
        }
        let unread = scripted.records.iter().filter(|record| record.position.offset >= self.next);
        let records: Vec<Record> = unread.take(max).cloned().collect();
        if let Some(last) = records.last() {
            self.next = last.position.offset + 1;
            return Some(Page::Records(records));
        }
        (self.ends < scripted.ends).then(|| {
            self.ends += 1;
            Page::End { partition, at: end.max(self.next) }
        })
    }
}

impl LogReader for Reader {
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        assert!(max > 0, "a page has room for a record");
        let mut script = self.log.0.lock().expect("no reader panics");
        if script.fails > 0 {
            script.fails -= 1;
            return Poll::Ready(Err(Error::new(ErrorKind::Unavailable, "log does not answer")));
        }
        for cursor in &mut self.cursors {
            if let Some(page) = cursor.page(script.of(&self.topic, cursor.partition), max) {
                // The turn of the others comes first.
                let used = self
                    .cursors
                    .iter()
                    .position(|other| page_partition(&page) == other.partition)
                    .expect("it has a cursor");
                self.cursors[used..].rotate_left(1);
                return Poll::Ready(Ok(page));
            }
        }
        script.wakers.push(cx.waker().clone());
        Poll::Pending
    }

    fn pause(&mut self, partition: i32) {
        self.cursors
            .iter_mut()
            .filter(|cursor| cursor.partition == partition)
            .for_each(|cursor| cursor.is_paused = true);
    }

    fn resume(&mut self, partition: i32) {
        self.cursors
            .iter_mut()
            .filter(|cursor| cursor.partition == partition)
            .for_each(|cursor| cursor.is_paused = false);
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        self.cursors
            .iter_mut()
            .filter(|cursor| cursor.partition == partition)
            .for_each(|cursor| cursor.next = offset);
    }
}

fn page_partition(page: &Page) -> i32 {
    match page {
        Page::Records(records) => records[0].position.partition,
        Page::End { partition, .. } | Page::Gone { partition, .. } => *partition,
    }
}

impl Log for ScriptedLog {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move {
            let script = self.0.lock().expect("no reader panics");
            Ok(script.of_topic(topic)?.iter().map(|scripted| scripted.bounds).collect())
        })
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move {
            let script = self.0.lock().expect("no reader panics");
            let first = |scripted: &&Scripted| {
                let first = scripted.records.iter().find(|record| record.timestamp >= Some(time));
                let offset = first.map_or(scripted.bounds.end, |record| record.position.offset);
                (scripted.bounds.partition, offset)
            };
            Ok(script.of_topic(topic)?.iter().map(first).collect())
        })
    }

    fn committed_offsets<'a>(
        &'a self,
        _: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        // The name of a consumer says where it is: `billing-0-7` reads offset 7 of partition 0 next.
        let mut numbers = consumer.rsplit('-').map(|number| number.parse::<i32>());
        let found = numbers.next().and_then(Result::ok).zip(numbers.next().and_then(Result::ok));
        Box::pin(async move {
            Ok(found.map(|(next, partition)| (partition, i64::from(next))).into_iter().collect())
        })
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move {
            let cursor = |(partition, start): &(i32, PartitionStart)| {
                let PartitionStart::Offset(next) = *start else { panic!("{start:?} is not resolved") };
                Cursor { partition: *partition, next, ends: 0, is_paused: false }
            };
            let cursors = partitions.iter().map(cursor).collect();
            Ok(Box::new(Reader { log: self.clone(), topic: topic.clone(), cursors }) as Box<dyn LogReader>)
        })
    }
}
