//! A publisher with one fault.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use messagekit::Message;
use messagekit::adapter::{BoxFuture, Published, Publisher};
use messagekit_memory::MemoryLog;

use super::Fault;

/// Publishes to a [`MemoryLog`], with one fault.
pub struct FaultyPublisher {
    log: MemoryLog,
    fault: Option<Fault>,
    count: AtomicU64,
    unwritten: Mutex<Vec<Message>>,
}

impl FaultyPublisher {
    pub(super) fn new(log: MemoryLog, fault: Option<Fault>) -> Self {
        Self { log, fault, count: AtomicU64::new(0), unwritten: Mutex::default() }
    }
}

impl Publisher for FaultyPublisher {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            match self.fault {
                Some(Fault::LosesOneInAHundred) => {
                    let mut results = Vec::new();
                    for message in batch {
                        if self.count.fetch_add(1, Ordering::Relaxed) % 100 == 99 {
                            results.push(Ok(()));
                        } else {
                            results.extend(self.log.publish(std::slice::from_ref(message)).await);
                        }
                    }
                    results
                }
                Some(Fault::PublishesBehindARefusal) => {
                    let mut results = Vec::new();
                    for message in batch {
                        results.extend(self.log.publish(std::slice::from_ref(message)).await);
                    }
                    results
                }
                Some(Fault::AnswersBeforeDurable) => {
                    let before = {
                        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
                        std::mem::replace(&mut *unwritten, batch.to_vec())
                    };
                    self.log.publish(&before).await;
                    batch.iter().map(|_| Ok(())).collect()
                }
                Some(Fault::OneResultPerBatch) => {
                    let mut results = self.log.publish(batch).await;
                    results.truncate(1);
                    results
                }
                _ => self.log.publish(batch).await,
            }
        })
    }

    fn max_bytes(&self) -> usize {
        self.log.max_bytes()
    }
}

impl fmt::Debug for FaultyPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyPublisher").field("fault", &self.fault).finish_non_exhaustive()
    }
}
