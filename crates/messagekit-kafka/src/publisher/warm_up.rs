//! Tracks which topics know a client.
//!
//! A broker checks the sequence numbers of an idempotent producer only after the first record that it accepts for a
//! partition; that first one may have any number. Suppose two requests with records of one key are in flight to a
//! partition that does not know the client. If the broker rejects the first, or returns it because the leader moves,
//! it would accept the second. Therefore the first record of a key is sent alone until each partition of the topic
//! has accepted a record.
//!
//! The client itself reports success in case of such a loss: it takes every request before a confirmed one for
//! confirmed. Such a report has no offset, and the publisher does not trust it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Brokers forget a producer that writes nothing to a partition for a day (`producer.id.expiration.ms`).
const TRUSTED: Duration = Duration::from_secs(12 * 3_600);

#[derive(Debug, Default)]
pub(super) struct WarmUp(Mutex<HashMap<String, Topic>>);

#[derive(Debug)]
struct Topic {
    since: Instant,
    /// Partitions that have accepted a record of this client since then.
    taken: BTreeSet<i32>,
    /// The number of partitions, if the broker has reported it.
    count: Option<usize>,
    is_asked: bool,
}

impl Topic {
    fn new() -> Self {
        Self { since: Instant::now(), taken: BTreeSet::new(), count: None, is_asked: false }
    }

    fn is_proven(&self) -> bool {
        self.count.is_some_and(|count| self.taken.len() >= count)
    }
}

impl WarmUp {
    /// Returns whether every partition of a topic knows the client.
    pub(super) fn is_proven(&self, topic: &str) -> bool {
        let mut topics = self.topics();
        let Some(known) = topics.get_mut(topic) else { return false };
        if known.since.elapsed() >= TRUSTED {
            *known = Topic::new();
        }
        known.is_proven()
    }

    /// Records that a partition has accepted a record.
    pub(super) fn took(&self, topic: &str, partition: i32) {
        let mut topics = self.topics();
        let Some(known) = topics.get_mut(topic) else {
            let mut known = Topic::new();
            known.taken.insert(partition);
            topics.insert(topic.to_owned(), known);
            return;
        };
        if known.taken.insert(partition) && known.count.is_some_and(|count| known.taken.len() > count) {
            // The topic has gained partitions.
            known.count = None;
        }
    }

    /// Returns whether the caller must query the number of partitions of a topic.
    pub(super) fn is_to_be_counted(&self, topic: &str) -> bool {
        let mut topics = self.topics();
        let known = topics.get_mut(topic).filter(|known| known.count.is_none() && !known.is_asked);
        known.map(|known| known.is_asked = true).is_some()
    }

    /// Stores the number of partitions of a topic; `None` if no broker reported it.
    pub(super) fn counted(&self, topic: &str, count: Option<usize>) {
        if let Some(known) = self.topics().get_mut(topic) {
            (known.count, known.is_asked) = (count, false);
        }
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<String, Topic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven_of(partitions: usize) -> WarmUp {
        let proven = WarmUp::default();
        proven.took("t", 0);
        assert!(proven.is_to_be_counted("t"));
        assert!(!proven.is_to_be_counted("t"), "somebody asks");
        proven.counted("t", Some(partitions));
        proven
    }

    #[tokio::test(start_paused = true)]
    async fn topic_is_warm_when_each_partition_has_taken_a_record() {
        let proven = proven_of(2);
        assert!(!proven.is_proven("t"));
        proven.took("t", 1);
        assert!(proven.is_proven("t") && !proven.is_proven("other"));
    }

    #[tokio::test(start_paused = true)]
    async fn grown_topic_and_one_that_may_forget_the_client_are_not_warm() {
        let proven = proven_of(1);
        assert!(proven.is_proven("t"));
        proven.took("t", 1);
        assert!(!proven.is_proven("t") && proven.is_to_be_counted("t"));
        proven.counted("t", None);
        assert!(proven.is_to_be_counted("t"), "nobody has said so yet");
        proven.counted("t", Some(2));
        assert!(proven.is_proven("t"));
        tokio::time::advance(TRUSTED).await;
        assert!(!proven.is_proven("t"));
    }
}
