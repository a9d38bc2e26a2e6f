//! A lag probe with one fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use messagekit::Error;
use messagekit::adapter::{BoxFuture, LagProbe, PartitionLag};
use messagekit_memory::MemoryLog;

use super::Fault;

/// Answers with the lag of a member of an in-memory log, with one fault.
pub(super) struct FaultyLag {
    inner: Arc<dyn LagProbe>,
    fault: Option<Fault>,
    log: MemoryLog,
    was_paused: Arc<AtomicBool>,
    /// The last answer with a partition.
    last: Mutex<Vec<PartitionLag>>,
}

impl FaultyLag {
    pub(super) fn new(
        inner: Arc<dyn LagProbe>,
        fault: Option<Fault>,
        log: MemoryLog,
        was_paused: Arc<AtomicBool>,
    ) -> Self {
        Self { inner, fault, log, was_paused, last: Mutex::default() }
    }

    fn spoil(&self, mut lag: Vec<PartitionLag>) -> Vec<PartitionLag> {
        match self.fault {
            Some(Fault::LagIgnoresSettles) => {
                for one in &mut lag {
                    let records = self.log.records(&one.topic);
                    let own =
                        records.iter().filter(|record| Some(record.position.partition) == one.partition);
                    one.messages = own.count() as u64;
                }
                lag
            }
            Some(Fault::LagStopsWithAPause) if self.was_paused.load(Ordering::Relaxed) => Vec::new(),
            Some(Fault::LagOutlivesTheMember) => {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                if !lag.is_empty() {
                    *last = lag;
                }
                last.clone()
            }
            _ => lag,
        }
    }
}

impl LagProbe for FaultyLag {
    fn lag(&self) -> BoxFuture<'_, Result<Vec<PartitionLag>, Error>> {
        Box::pin(async { Ok(self.spoil(self.inner.lag().await?)) })
    }
}
