//! The cursors that this process has read or written for its consumers: the fence of [`Offsets`](messagekit::adapter::FullInbox).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use messagekit::{Error, ErrorKind};
use rusqlite::Connection;

use crate::error::from_sqlite;
use crate::tables::cursors;

/// The next offset of a consumer in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) next: i64,
}

/// A cursor as its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) tp: i64,
    pub(crate) next: i64,
}

/// The cursors of one consumer while a subscriber of this process works for it.
///
/// The values are those of the file after the last commit of this process. A different value in the file means that
/// another process has moved the cursor; work based on the value here must not be committed.
#[derive(Debug, Default)]
pub(crate) struct Binding(Mutex<HashMap<Arc<str>, BTreeMap<i32, Cursor>>>);

impl Binding {
    /// Returns a cursor, or `None` when the subscriber does not read that partition.
    pub(crate) fn cursor(&self, topic: &str, partition: i32) -> Option<Cursor> {
        self.lock().get(topic)?.get(&partition).copied()
    }

    /// Stores a cursor that was read from the file. Called on the writer thread, so that no commit comes between.
    pub(crate) fn set(&self, topic: &Arc<str>, partition: i32, cursor: Cursor) {
        self.lock().entry(topic.clone()).or_default().insert(partition, cursor);
    }

    /// Moves the cursors in the file from their known values. Returns the moves for [`moved`](Self::moved) to store after
    /// the commit.
    ///
    /// Several moves of one partition count as the farthest.
    pub(crate) fn advance(
        &self,
        conn: &Connection,
        consumer: i64,
        moves: impl IntoIterator<Item = Move>,
    ) -> Result<Vec<Move>, Error> {
        let mut farthest: Vec<Move> = Vec::new();
        for wanted in moves {
            let same = |known: &&mut Move| known.partition == wanted.partition && known.topic == wanted.topic;
            match farthest.iter_mut().find(same) {
                Some(known) => known.next = known.next.max(wanted.next),
                None if self.cursor(&wanted.topic, wanted.partition).is_some() => farthest.push(wanted),
                None => {}
            }
        }
        for wanted in &farthest {
            let Some(cursor) = self.cursor(&wanted.topic, wanted.partition) else { continue };
            let moved =
                cursors::advance(conn, consumer, cursor.tp, cursor.next, wanted.next).map_err(from_sqlite)?;
            if !moved {
                return Err(Error::new(
                    ErrorKind::Fenced,
                    "another process has moved the cursor, or dropped the topic",
                )
                .with("topic", &wanted.topic)
                .with("partition", wanted.partition)
                .with("expected", cursor.next));
            }
        }
        Ok(farthest)
    }

    /// Stores moves that were committed.
    pub(crate) fn moved(&self, moves: &[Move]) {
        let mut cursors = self.lock();
        for done in moves {
            let cursor = cursors.get_mut(&done.topic).and_then(|of_topic| of_topic.get_mut(&done.partition));
            if let Some(cursor) = cursor {
                cursor.next = cursor.next.max(done.next);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, BTreeMap<i32, Cursor>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bindings of a process by consumer, shared by the clones of a store.
#[derive(Debug, Default)]
pub(crate) struct Bindings(Mutex<HashMap<Arc<str>, Arc<Binding>>>);

impl Bindings {
    /// Returns the binding of a consumer that a subscriber of this process works for.
    pub(crate) fn of(&self, consumer: &str) -> Option<Arc<Binding>> {
        self.lock().get(consumer).cloned()
    }

    /// Sets the binding of a consumer.
    pub(crate) fn insert(&self, consumer: &Arc<str>, binding: &Arc<Binding>) {
        self.lock().insert(consumer.clone(), binding.clone());
    }

    /// Removes a binding, unless a later subscriber has replaced it.
    pub(crate) fn remove(&self, consumer: &str, binding: &Arc<Binding>) {
        let mut bindings = self.lock();
        if bindings.get(consumer).is_some_and(|current| Arc::ptr_eq(current, binding)) {
            bindings.remove(consumer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Binding>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
