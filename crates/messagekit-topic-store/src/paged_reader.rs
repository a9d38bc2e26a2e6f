//! The reader of a log whose database is asked page by page.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, Page, PartitionStart, Record};
use messagekit::{Error, ErrorKind};

/// Waits for commits to a database.
pub trait CommitWatch: Send {
    /// Waits until any process has committed since the watch was made, or since the last call. It may return early.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](messagekit::ErrorKind::Closed) if the database was closed.
    ///
    /// # Cancel safety
    /// A dropped call has seen nothing: the next one tells of the same commits.
    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>>;
}

/// A database from which partitions are read page by page. It opens its readers with [`PagedReader::open`].
pub trait Pages: Log + Clone + 'static {
    /// Returns the offsets of a partition, and then, not before, at most `max` of its records from an offset on, in order. At least one
    /// when there is one: an offset inside the bounds without a record was deleted.
    ///
    /// # Errors
    /// As [`Log::bounds`].
    fn read(
        &self,
        topic: &Arc<str>,
        partition: i32,
        from: i64,
        max: usize,
    ) -> BoxFuture<'static, Result<(Bounds, Vec<Record>), Error>>;

    /// Begins to watch for commits.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn watch(&self) -> Result<Box<dyn CommitWatch>, Error>;
}

type Read = BoxFuture<'static, Result<(Bounds, Vec<Record>), Error>>;
type Wait = BoxFuture<'static, Result<(Box<dyn CommitWatch>, Vec<Bounds>), Error>>;

/// Reads partitions of a database in turns, and waits for commits while it is at the end of each.
pub struct PagedReader<P> {
    pages: P,
    topic: Arc<str>,
    cursors: Vec<Cursor>,
    /// The cursor whose turn was last.
    last: usize,
    /// What is being read: for which cursor, and after how many seeks of it.
    read: Option<(usize, u64, Read)>,
    wait: Option<Wait>,
    /// The waker of a caller that waits.
    waker: Option<Waker>,
}

/// The read position in a partition.
#[derive(Debug)]
struct Cursor {
    partition: i32,
    next: i64,
    paused: bool,
    /// The last read found no record.
    dry: bool,
    /// The caller has received [`Page::End`] for it.
    told: bool,
    /// Counts seeks: a page that was being read during a seek is discarded.
    seeks: u64,
}

impl<P: Pages> PagedReader<P> {
    /// Opens a reader of some partitions of a topic.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub async fn open(pages: P, topic: &Arc<str>, wanted: &[(i32, PartitionStart)]) -> Result<Self, Error> {
        let known = pages.bounds(topic).await?;
        let cursor = |(partition, start): &(i32, PartitionStart)| {
            let found = known.iter().find(|known| known.partition == *partition).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("topic has no partition {partition}"))
                    .with("topic", topic)
            })?;
            let next = match start {
                PartitionStart::Earliest => found.earliest,
                PartitionStart::End => found.end,
                PartitionStart::Offset(offset) => *offset,
            };
            Ok(Cursor { partition: *partition, next, paused: false, dry: false, told: false, seeks: 0 })
        };
        let cursors = wanted.iter().map(cursor).collect::<Result<_, Error>>()?;
        Ok(Self { pages, topic: topic.clone(), cursors, last: 0, read: None, wait: None, waker: None })
    }

    fn change(&mut self, partition: i32, change: impl Fn(&mut Cursor)) {
        self.cursors.iter_mut().filter(|cursor| cursor.partition == partition).for_each(change);
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Starts to read the next partition that may have records.
    fn read_next(&mut self, max: usize) -> Option<(usize, u64, Read)> {
        let count = self.cursors.len();
        let mut turns = (1..=count).map(|turn| (self.last + turn) % count);
        let index = turns.find(|index| !self.cursors[*index].paused && !self.cursors[*index].dry)?;
        self.last = index;
        let Cursor { next, seeks, partition, .. } = self.cursors[index];
        Some((index, seeks, self.pages.read(&self.topic, partition, next, max.max(1))))
    }

    /// Waits for a commit, unless nothing was watched before, and looks at the partitions.
    fn wait(&self, watched: Option<Box<dyn CommitWatch>>) -> Wait {
        let (pages, topic) = (self.pages.clone(), self.topic.clone());
        Box::pin(async move {
            let watch = match watched {
                Some(mut watch) => watch.changed().await.map(|()| watch)?,
                None => pages.watch()?,
            };
            Ok((watch, pages.bounds(&topic).await?))
        })
    }

    /// Notes which partitions have new records.
    fn look(&mut self, partitions: &[Bounds]) {
        for cursor in &mut self.cursors {
            let now = partitions.iter().find(|known| known.partition == cursor.partition);
            if now.is_some_and(|now| now.end > cursor.next || now.earliest > cursor.next) {
                cursor.dry = false;
            }
        }
    }
}

impl<P: Pages> LogReader for PagedReader<P> {
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        loop {
            if let Some((index, seeks, page)) = &mut self.read {
                let (index, seeks) = (*index, *seeks);
                let page = ready!(page.as_mut().poll(cx));
                self.read = None;
                let (bounds, records) = page?;
                let cursor = &mut self.cursors[index];
                if cursor.seeks == seeks
                    && !cursor.paused
                    && let Some(page) = cursor.take(bounds, records)
                {
                    return Poll::Ready(Ok(page));
                }
                continue;
            }
            self.read = self.read_next(max);
            if self.read.is_some() {
                continue;
            }
            self.waker = Some(cx.waker().clone());
            if self.cursors.iter().all(|cursor| cursor.paused) {
                return Poll::Pending;
            }
            let mut wait = self.wait.take().unwrap_or_else(|| self.wait(None));
            match wait.as_mut().poll(cx) {
                Poll::Pending => {
                    self.wait = Some(wait);
                    return Poll::Pending;
                }
                Poll::Ready(news) => {
                    let (watch, partitions) = news?;
                    self.wait = Some(self.wait(Some(watch)));
                    self.look(&partitions);
                }
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

impl Cursor {
    /// Advances past the records that were read, and returns the page to yield, if any.
    fn take(&mut self, bounds: Bounds, records: Vec<Record>) -> Option<Page> {
        let partition = self.partition;
        if self.next < bounds.earliest {
            let asked = std::mem::replace(&mut self.next, bounds.earliest);
            return Some(Page::Gone { partition, asked, earliest: bounds.earliest });
        }
        if let Some(last) = records.last() {
            self.next = last.position.offset + 1;
            self.told = false;
            return Some(Page::Records(records));
        }
        self.next = self.next.max(bounds.end);
        self.dry = true;
        let told = std::mem::replace(&mut self.told, true);
        (!told).then_some(Page::End { partition, at: bounds.end })
    }
}

impl<P> fmt::Debug for PagedReader<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagedReader")
            .field("topic", &self.topic)
            .field("cursors", &self.cursors)
            .finish_non_exhaustive()
    }
}
