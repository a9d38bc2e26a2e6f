//! The ids of topics: a topic that was deleted and made again has another one.
//!
//! librdkafka gives a program the id of a topic only in a line of its log. It asks brokers for records by that id (Kafka 3.1 and newer), so
//! the line is in the client's main queue before any record of the topic is in the queue of its partition.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The value of librdkafka's property `debug` that makes it log the ids.
pub(crate) const LOGGED: &str = "topic";

/// What the line has between the name of the topic and its two ids.
const CHANGED: &str = " changed id from ";

/// The ids of the topics that the clients of one reader have seen.
#[derive(Debug, Default)]
pub(crate) struct TopicIds {
    /// The ids of each topic, the newest last.
    seen: Mutex<BTreeMap<Arc<str>, Vec<Arc<str>>>>,
    changes: AtomicU64,
}

impl TopicIds {
    /// Reads a line of librdkafka's log; ignores lines about other things.
    pub(crate) fn read(&self, text: &str) {
        let Some((before, ids)) = text.split_once(CHANGED) else { return };
        let topic = before.rsplit(' ').next().unwrap_or_default();
        let Some((_, id)) = ids.split_once(" to ") else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.entry(topic.into()).or_default();
        // A broker whose metadata is old names an earlier id for a moment.
        if known.iter().all(|known| **known != *id) {
            known.push(id.into());
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns the id of a topic; `None` before the client has learned it, and with brokers that have no ids.
    pub(crate) fn of(&self, topic: &str) -> Option<Arc<str>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(topic)?.last().cloned()
    }

    /// Returns how many ids were learned so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_id_of_a_topic_counts() {
        let (ids, zero) = (TopicIds::default(), "AAAAAAAAAAAAAAAAAAAAAA");
        let changed =
            |from, to| ids.read(&format!("[thrd:main]: Topic orders changed id from {from} to {to}"));
        ids.read("[thrd:main]: Topic orders [0] Leader 1 Epoch 0");
        assert_eq!((ids.of("orders"), ids.changes()), (None, 0));
        changed(zero, "Qkz2pGxOT4Gk0xkT0vR2yQ");
        assert_eq!((ids.of("orders").as_deref(), ids.changes()), (Some("Qkz2pGxOT4Gk0xkT0vR2yQ"), 1));
        changed("Qkz2pGxOT4Gk0xkT0vR2yQ", "a1+/XxOT4Gk0xkT0vR2yQA");
        assert_eq!((ids.of("orders").as_deref(), ids.changes()), (Some("a1+/XxOT4Gk0xkT0vR2yQA"), 2));
        // From a broker with old metadata, and from a client that begins again.
        changed("a1+/XxOT4Gk0xkT0vR2yQA", "Qkz2pGxOT4Gk0xkT0vR2yQ");
        changed(zero, "a1+/XxOT4Gk0xkT0vR2yQA");
        assert_eq!((ids.of("orders").as_deref(), ids.changes()), (Some("a1+/XxOT4Gk0xkT0vR2yQA"), 2));
        assert_eq!(ids.of("orders.order"), None);
    }
}
