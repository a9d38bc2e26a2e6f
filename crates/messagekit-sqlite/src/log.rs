//! Reads topics of this file without consuming them.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, Page, Start};
use messagekit::{Error, ErrorKind};
use tokio::sync::watch;

use crate::SqliteStore;
use crate::error::{closed, from_sqlite};
use crate::look::Interval;
use crate::tables::read;
use crate::tables::topics::{self, Partition};

/// The most bytes of a page, unless one record is larger.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// The appending transaction assigns offsets, so no record can appear inside a page that was read.
impl Log for SqliteStore {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move {
            let partitions = partitions(self, Arc::from(topic)).await?;
            let bounds =
                |p: Partition| Bounds { partition: p.partition, earliest: p.log_start, end: p.next_offset };
            Ok(partitions.into_iter().map(bounds).collect())
        })
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        wanted: &'a [(i32, Start)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move {
            let known = partitions(self, topic.clone()).await?;
            let cursors = wanted.iter().map(|(partition, start)| {
                let found = known.iter().find(|known| known.partition == *partition);
                let found = found.ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, format!("topic has no partition {partition}"))
                        .with("topic", topic)
                })?;
                let next = match start {
                    Start::Earliest => found.log_start,
                    Start::End => found.next_offset,
                    Start::Offset(offset) => *offset,
                };
                Ok(Cursor {
                    partition: *partition,
                    tp: found.tp,
                    next,
                    paused: false,
                    dry: false,
                    told: false,
                    seeks: 0,
                })
            });
            let reader = SqliteLogReader {
                store: self.clone(),
                topic: topic.clone(),
                cursors: cursors.collect::<Result<_, Error>>()?,
                last: 0,
                commits: self.commits(),
                interval: Interval::new(),
                work: Work::None,
                waker: None,
            };
            Ok(Box::new(reader) as Box<dyn LogReader>)
        })
    }
}

async fn partitions(store: &SqliteStore, topic: Arc<str>) -> Result<Vec<Partition>, Error> {
    let name = topic.clone();
    let found = store.query(move |conn| topics::partitions(conn, &name).map_err(from_sqlite)).await?;
    if found.is_empty() {
        return Err(
            Error::new(ErrorKind::NotFound, "there is no such topic in this file").with("topic", topic)
        );
    }
    Ok(found)
}

/// The read position in a partition.
#[derive(Debug)]
struct Cursor {
    partition: i32,
    tp: i64,
    next: i64,
    paused: bool,
    /// The last read found no record.
    dry: bool,
    /// The caller has received [`Page::End`] for it.
    told: bool,
    /// Counts seeks: a page that was being read during a seek is discarded.
    seeks: u64,
}

enum Work {
    None,
    Read { index: usize, seeks: u64, page: BoxFuture<'static, Result<(Partition, Vec<read::Stored>), Error>> },
    Wait(BoxFuture<'static, Result<News, Error>>),
}

/// The result of a wait, and the receiver that has seen the commits up to it.
struct News {
    partitions: Vec<Partition>,
    commits: watch::Receiver<u64>,
}

/// Reads partitions in turns.
struct SqliteLogReader {
    store: SqliteStore,
    topic: Arc<str>,
    cursors: Vec<Cursor>,
    last: usize,
    commits: watch::Receiver<u64>,
    interval: Interval,
    work: Work,
    /// The waker of a caller that waits although every partition is paused.
    waker: Option<Waker>,
}

impl LogReader for SqliteLogReader {
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        loop {
            match &mut self.work {
                Work::Read { index, seeks, page } => {
                    let (index, seeks) = (*index, *seeks);
                    let page = ready!(page.as_mut().poll(cx));
                    self.work = Work::None;
                    let (bounds, records) = page?;
                    let cursor = &mut self.cursors[index];
                    if cursor.seeks == seeks
                        && !cursor.paused
                        && let Some(page) = cursor.take(&self.topic, bounds, records)?
                    {
                        return Poll::Ready(Ok(page));
                    }
                }
                Work::Wait(news) => {
                    let news = ready!(news.as_mut().poll(cx));
                    self.work = Work::None;
                    let News { partitions, commits } = news?;
                    self.commits = commits;
                    self.look(&partitions);
                }
                Work::None if self.cursors.iter().all(|cursor| cursor.paused) => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Work::None => self.work = self.read_next(max).unwrap_or_else(|| self.wait()),
            }
        }
    }

    fn pause(&mut self, partition: i32) {
        self.change(partition, |cursor| cursor.paused = true);
    }

    fn resume(&mut self, partition: i32) {
        self.change(partition, |cursor| cursor.paused = false);
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        self.change(partition, |cursor| {
            cursor.next = offset;
            cursor.seeks += 1;
            cursor.dry = false;
            cursor.told = false;
        });
    }
}

impl SqliteLogReader {
    fn change(&mut self, partition: i32, change: impl Fn(&mut Cursor)) {
        self.cursors.iter_mut().filter(|cursor| cursor.partition == partition).for_each(change);
        if let Work::Wait(_) = self.work {
            self.work = Work::None;
        }
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Starts to read the next partition that may have records.
    fn read_next(&mut self, max: usize) -> Option<Work> {
        let count = self.cursors.len();
        let turns = (1..=count).map(|turn| (self.last + turn) % count);
        let index =
            turns.into_iter().find(|index| !self.cursors[*index].paused && !self.cursors[*index].dry)?;
        self.last = index;
        let Cursor { tp, next, seeks, partition, .. } = self.cursors[index];
        let (store, topic) = (self.store.clone(), self.topic.clone());
        let page = Box::pin(async move {
            let query = move |conn: &rusqlite::Connection| {
                // Read the bounds first: an offset inside them without a record was deleted, not missed.
                let all = topics::partitions(conn, &topic).map_err(from_sqlite)?;
                let bounds = all.into_iter().find(|known| known.partition == partition);
                let bounds = bounds.ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, "topic was deleted while it was read")
                        .with("topic", &topic)
                })?;
                let from = next.max(bounds.log_start);
                Ok((bounds, read::read(conn, &topic, tp, from, max.max(1), PAGE_BYTES)?))
            };
            store.query(query).await
        });
        Some(Work::Read { index, seeks, page })
    }

    /// Starts to wait for a commit of this process, or for the next check for commits of other processes.
    fn wait(&self) -> Work {
        let (store, topic, interval) = (self.store.clone(), self.topic.clone(), self.interval);
        let mut commits = self.commits.clone();
        Work::Wait(Box::pin(async move {
            if let Ok(Err(_)) = tokio::time::timeout(interval.get(), commits.changed()).await {
                return Err(closed());
            }
            Ok(News { partitions: partitions(&store, topic).await?, commits })
        }))
    }

    /// Updates which partitions have new records.
    fn look(&mut self, partitions: &[Partition]) {
        let mut is_news = false;
        for cursor in &mut self.cursors {
            let now = partitions.iter().find(|known| known.partition == cursor.partition);
            if now.is_some_and(|now| now.next_offset > cursor.next || now.log_start > cursor.next) {
                cursor.dry = false;
                is_news = true;
            }
        }
        self.interval.looked(is_news);
    }
}

impl Cursor {
    /// Advances past the records that were read, and returns the page to yield, if any.
    fn take(
        &mut self,
        topic: &Arc<str>,
        bounds: Partition,
        records: Vec<read::Stored>,
    ) -> Result<Option<Page>, Error> {
        if self.next < bounds.log_start {
            let asked = std::mem::replace(&mut self.next, bounds.log_start);
            return Ok(Some(Page::Gone { partition: self.partition, asked, earliest: bounds.log_start }));
        }
        if let Some(last) = records.last() {
            self.next = last.offset + 1;
            self.told = false;
            return records
                .into_iter()
                .map(|stored| stored.into_record(topic, self.partition))
                .collect::<Result<_, Error>>()
                .map(|all| Some(Page::Records(all)));
        }
        self.next = self.next.max(bounds.next_offset);
        self.dry = true;
        let told = std::mem::replace(&mut self.told, true);
        Ok((!told).then_some(Page::End { partition: self.partition, at: bounds.next_offset }))
    }
}

impl fmt::Debug for SqliteLogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLogReader")
            .field("topic", &self.topic)
            .field("cursors", &self.cursors)
            .finish_non_exhaustive()
    }
}
