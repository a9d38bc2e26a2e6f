//! A publisher with one fault, and the faults of publishing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use messagekit::Message;
use messagekit::adapter::{BoxFuture, Published, Publisher};
use messagekit_memory::MemoryLog;

use super::super::methods::faults;
use super::super::{Row, Suite};
use super::Fault;

/// Publishes to a [`MemoryLog`], with one fault.
pub(crate) struct FaultyPublisher {
    pub(super) log: MemoryLog,
    pub(super) fault: &'static Fault,
    pub(super) count: AtomicU64,
    pub(super) unwritten: Mutex<Vec<Message>>,
}

impl Publisher for FaultyPublisher {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        (self.fault.publish)(self, batch)
    }

    fn max_bytes(&self) -> usize {
        self.log.max_bytes()
    }
}

/// Publishes the messages one after the other, except those that are lost.
async fn one_by_one(
    publisher: &FaultyPublisher,
    batch: &[Message],
    is_lost: fn(u64) -> bool,
) -> Vec<Published> {
    let mut results = Vec::new();
    for message in batch {
        if is_lost(publisher.count.fetch_add(1, Ordering::Relaxed)) {
            results.push(Ok(()));
        } else {
            results.extend(publisher.log.publish(std::slice::from_ref(message)).await);
        }
    }
    results
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Publishing drops each hundredth message and returns `Ok`.
    Transport delivers_every_message:
        set publish: |publisher, batch| Box::pin(one_by_one(publisher, batch, |count| count % 100 == 99));
    /// Messages are written with the next batch; the last batch is lost with its publisher.
    Transport publish_returns_only_when_durable:
        set publish: |publisher, batch| Box::pin(async move {
            let before = {
                let mut unwritten = publisher.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *unwritten, batch.to_vec())
            };
            publisher.log.publish(&before).await;
            batch.iter().map(|_| Ok(())).collect()
        });
    /// A batch has one result for all its messages.
    Transport answers_one_result_per_message:
        set publish: |publisher, batch| Box::pin(async move {
            publisher.log.publish(batch).await.into_iter().take(1).collect()
        });
    /// Messages behind a refused message of their key are published.
    Transport oks_of_a_key_are_a_prefix:
        set publish: |publisher, batch| Box::pin(one_by_one(publisher, batch, |_| false));
};
