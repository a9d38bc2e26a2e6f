//! How many connections of a store wait for one topic.
//!
//! A transaction that gives offsets in a topic holds its partitions until its commit. A transaction that holds them for long, such as one
//! left open in `psql`, must not take the connections of the whole pool, which other topics need: all but two callers wait without a
//! connection.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One that holds the partitions, and one that is ready when it commits.
const TOGETHER: usize = 2;

/// The turns of each topic that is waited for.
#[derive(Debug, Default)]
pub(crate) struct TopicTurns(Mutex<HashMap<Arc<str>, Weak<Semaphore>>>);

impl TopicTurns {
    /// Waits for a turn in each of these topics, in the order of their names: two callers never wait for each other. The answer is held
    /// until the transaction has ended.
    ///
    /// # Cancel safety
    /// A dropped call holds no turn.
    pub(crate) async fn take(&self, topics: impl IntoIterator<Item = &str>) -> Vec<OwnedSemaphorePermit> {
        let topics: BTreeSet<&str> = topics.into_iter().collect();
        let mut turns = Vec::with_capacity(topics.len());
        for topic in topics {
            turns.push(self.of(topic).acquire_owned().await.expect("it is never closed"));
        }
        turns
    }

    fn of(&self, topic: &str) -> Arc<Semaphore> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = known.get(topic).and_then(Weak::upgrade) {
            return turns;
        }
        known.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(TOGETHER));
        known.insert(topic.into(), Arc::downgrade(&turns));
        turns
    }
}
