//! A subscriber with one fault.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use messagekit::adapter::{BoxFuture, Delivery, Incoming, LagProbe, Lane, PartitionLag, Receipt, Subscriber};
use messagekit::{Error, Message};
use messagekit_memory::{MemoryLog, MemorySubscriber};

use super::{Binding, Fault, FaultyTransport};

/// A member of a consumer, with one fault.
pub(crate) struct FaultySubscriber {
    pub(super) inner: Option<MemorySubscriber>,
    pub(super) transport: FaultyTransport,
    pub(super) binding: Binding,
    pub(super) notes: Notes,
    is_closed: bool,
}

/// What a member has seen.
#[derive(Default)]
pub(super) struct Notes {
    /// The current assignment of each slot.
    present: BTreeMap<u32, Lane>,
    pub(super) revoking: BTreeSet<Lane>,
    pub(super) paused: BTreeSet<Lane>,
    /// A lane was paused.
    was_paused: Arc<AtomicBool>,
    /// Messages that were delivered and neither settled nor released.
    pub(super) out: BTreeMap<(Lane, u64), Message>,
    /// The real position of each position that was shown.
    pub(super) truth: BTreeMap<(Lane, u64), u64>,
    pub(super) waiting: VecDeque<Delivery>,
}

impl FaultySubscriber {
    pub(super) fn new(inner: MemorySubscriber, transport: FaultyTransport, binding: Binding) -> Self {
        Self { inner: Some(inner), transport, binding, notes: Notes::default(), is_closed: false }
    }

    pub(super) fn inner(&mut self) -> &mut MemorySubscriber {
        self.inner.as_mut().expect("it is taken only by drop")
    }

    pub(super) fn settle_one(&mut self, lane: Lane, sequence: u64) {
        self.notes.out.remove(&(lane, sequence));
        self.inner().settle(&mut vec![Receipt::new(lane, sequence)]);
    }

    /// Returns the current assignment of a lane's slot.
    pub(super) fn present(&self, lane: Lane) -> Lane {
        self.notes.present.get(&lane.slot).copied().unwrap_or(lane)
    }

    fn note(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Assigned { lane, .. } => drop(self.notes.present.insert(lane.slot, *lane)),
            Incoming::Revoking { lane, .. } => self.notes.revoking.extend([*lane]),
            Incoming::Message(delivery) => {
                let place = (delivery.receipt.lane(), delivery.receipt.position());
                self.notes.out.insert(place, delivery.message.clone());
            }
            Incoming::Lost { .. } => {}
        }
    }
}

impl Subscriber for FaultySubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        let fault = self.transport.fault;
        if (fault.is_silent)(self.is_closed) {
            return Poll::Pending;
        }
        loop {
            match self.inner().poll_next(&mut Context::from_waker((fault.waker)(cx.waker()))) {
                Poll::Ready(Some(Ok(mut incoming))) => {
                    self.note(&incoming);
                    if let Incoming::Message(delivery) = &mut incoming {
                        (fault.message)(&mut delivery.message);
                    }
                    if let Some(incoming) = (fault.incoming)(self, incoming) {
                        return Poll::Ready(Some(Ok(incoming)));
                    }
                }
                Poll::Pending => {
                    let late = self.notes.waiting.pop_front().map(Incoming::Message);
                    return late.map_or(Poll::Pending, |late| Poll::Ready(Some(Ok(late))));
                }
                ended => return ended,
            }
        }
    }

    fn pause(&mut self, lane: Lane) {
        self.notes.paused.insert(lane);
        self.notes.was_paused.store(true, Ordering::Relaxed);
        (self.transport.fault.pause)(self, lane);
    }

    fn resume(&mut self, lane: Lane) {
        self.notes.paused.remove(&lane);
        (self.transport.fault.resume)(self, lane);
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        let fault = self.transport.fault;
        for receipt in done.drain(..) {
            let (lane, sequence) = (fault.receipt)(self, receipt.lane(), receipt.position());
            (fault.settle)(self, lane, sequence);
        }
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        let fault = self.transport.fault;
        for receipt in back.drain(..) {
            let (lane, sequence) = (fault.receipt)(self, receipt.lane(), receipt.position());
            let message = self.notes.out.remove(&(lane, sequence));
            (fault.release)(self, lane, sequence, message);
        }
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        Some(Arc::new(FaultyLag {
            inner: self.inner.as_ref()?.lag()?,
            fault: self.transport.fault,
            log: self.transport.log.clone(),
            was_paused: Arc::clone(&self.notes.was_paused),
            last: Mutex::default(),
        }))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.is_closed = true;
        (self.transport.fault.close)(self, cx)
    }
}

impl Drop for FaultySubscriber {
    fn drop(&mut self) {
        (self.transport.fault.drop)(self);
    }
}

/// Answers with the lag of a member of an in-memory log, with one fault.
pub(crate) struct FaultyLag {
    inner: Arc<dyn LagProbe>,
    fault: &'static Fault,
    pub(super) log: MemoryLog,
    was_paused: Arc<AtomicBool>,
    /// The last answer with a partition.
    pub(super) last: Mutex<Vec<PartitionLag>>,
}

impl FaultyLag {
    pub(super) fn was_paused(&self) -> bool {
        self.was_paused.load(Ordering::Relaxed)
    }
}

impl LagProbe for FaultyLag {
    fn lag(&self) -> BoxFuture<'_, Result<Vec<PartitionLag>, Error>> {
        Box::pin(async { Ok((self.fault.lag)(self, self.inner.lag().await?)) })
    }
}
