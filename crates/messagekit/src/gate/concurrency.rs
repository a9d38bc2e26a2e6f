//! A limit on concurrent batches.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::watched::Watched;
use super::{Abandon, BatchView, Gate, Outcome, Permit};

/// Admits a number of concurrent batches of any size. Each batch is one transaction of a lane, and so one database connection.
///
/// Clones share the permits, which limits several consumers, or the lanes of one, together. Free permits go to the first
/// poller: a consumer with a long backlog may hold all of them until the backlog is done.
///
/// ```
/// use messagekit::gate::Concurrency;
///
/// let four = Concurrency::new(4);
/// // Consumer::builder("billing", store).gate(four.clone()) …
/// assert_eq!(four.in_use(), 0);
/// ```
pub struct Concurrency {
    shared: Arc<Shared>,
    handle: u64,
}

struct Shared {
    permits: u32,
    in_use: Watched<u32>,
}

impl Concurrency {
    /// Admits `batches` concurrently; 0 counts as 1.
    pub fn new(batches: u32) -> Self {
        Self::of(Arc::new(Shared { permits: batches.max(1), in_use: Watched::new(0) }))
    }

    fn of(shared: Arc<Shared>) -> Self {
        let handle = shared.in_use.handle();
        Self { shared, handle }
    }

    /// Returns the number of batches in work.
    pub fn in_use(&self) -> u32 {
        self.shared.in_use.look(|in_use| *in_use)
    }
}

/// Does not wake the polling handle: a handle with a permit is not among the waiting ones.
impl Abandon for Shared {
    fn abandon(&self, _stamp: u64, _unused: u32) {
        self.in_use.change(|in_use| *in_use -= 1);
    }
}

impl Gate for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency"
    }

    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit> {
        let permits = self.shared.permits;
        let permit =
            self.shared.in_use.poll(self.handle, cx, |in_use| (*in_use < permits).then(|| *in_use += 1));
        permit.map(|()| Permit::new(0, batch.messages, Some(self.shared.clone() as _)))
    }

    fn settle(&mut self, permit: Permit, _outcome: &Outcome) {
        let (stamp, unused) = permit.redeem();
        self.shared.abandon(stamp, unused);
    }
}

impl Clone for Concurrency {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }
}

impl Drop for Concurrency {
    fn drop(&mut self) {
        self.shared.in_use.leave(self.handle);
    }
}

impl fmt::Debug for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency")
            .field("batches", &self.shared.permits)
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::transport::Lane;

    const VIEW: BatchView = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 9, bytes: 90 };

    async fn admit(gate: &mut Concurrency) -> Permit {
        poll_fn(|cx| gate.poll_admit(&VIEW, cx)).await
    }

    #[tokio::test]
    async fn a_batch_waits_until_one_of_those_in_work_ends() {
        let mut gate = Concurrency::new(2);
        let mut other = gate.clone();
        let (first, second) = (admit(&mut gate).await, admit(&mut gate).await);
        assert_eq!((first.granted(), gate.in_use()), (9, 2));
        let waits = tokio::spawn(async move { admit(&mut other).await.granted() });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        gate.settle(first, &Outcome::default());
        assert_eq!(waits.await.unwrap(), 9);
        drop(second);
        assert_eq!(gate.in_use(), 0, "a dropped permit is given back");
    }
}
