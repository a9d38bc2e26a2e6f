//! Reading a log in memory without consuming it.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::state::{Shared, State};
use crate::log::{Bounds, LogReader, Page, Start};
use crate::{Error, ErrorKind};

pub(super) fn bounds(state: &State, topic: &str) -> Result<Vec<Bounds>, Error> {
    let found = state.topics.get(topic).ok_or_else(|| no_topic(topic))?;
    let bounds = found.partitions.iter().zip(0..).map(|(partition, number)| Bounds {
        partition: number,
        earliest: partition.start as i64,
        end: partition.end() as i64,
    });
    Ok(bounds.collect())
}

pub(super) fn open(
    shared: &Arc<Shared>,
    topic: &Arc<str>,
    partitions: &[(i32, Start)],
) -> Result<Box<dyn LogReader>, Error> {
    let bounds = shared.with(|state| bounds(state, topic))?;
    let cursors = partitions.iter().map(|(number, start)| {
        let bounds = bounds.iter().find(|bounds| bounds.partition == *number).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no such partition")
                .with("topic", topic)
                .with("partition", number)
        })?;
        let next = match start {
            Start::Earliest => bounds.earliest,
            Start::End => bounds.end,
            Start::Offset(offset) => *offset,
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
    /// Its `End` was told and nothing came since.
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
            let told = std::mem::replace(&mut self.dry, true);
            return (!told).then_some(Page::End { partition: self.partition, at: end });
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
        // Whoever polls this reader may be waiting on behalf of the paused partition.
        self.shared.change(|_| ());
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        self.cursor(partition).into_iter().for_each(|cursor| (cursor.next, cursor.dry) = (offset, false));
        self.shared.change(|_| ());
    }
}
