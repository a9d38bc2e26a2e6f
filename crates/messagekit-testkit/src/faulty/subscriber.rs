//! A subscriber with one fault.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use messagekit::adapter::{Delivery, Done, Incoming, LagProbe, Lane, Publisher, Receipt, Subscriber};
use messagekit::{Error, Message, headers};
use messagekit_memory::{MemoryLog, MemorySubscriber};

use super::Fault;
use super::lag::FaultyLag;
use super::shared::Shared;
use crate::unique;

/// A member of a consumer, with one fault.
pub struct FaultySubscriber {
    inner: Option<MemorySubscriber>,
    fault: Option<Fault>,
    log: MemoryLog,
    consumer: String,
    shared: Arc<Shared>,
    /// The last offset that a new consumer skips, by topic and partition.
    skipped: BTreeMap<(Arc<str>, i32), i64>,
    /// The current assignment of each slot.
    present: BTreeMap<u32, Lane>,
    revoking: BTreeSet<Lane>,
    paused: BTreeSet<Lane>,
    /// A lane was paused.
    was_paused: Arc<AtomicBool>,
    /// Messages that were delivered and neither settled nor released.
    out: BTreeMap<(Lane, u64), Message>,
    /// The real position of each position that was shown.
    truth: BTreeMap<(Lane, u64), u64>,
    waiting: VecDeque<Incoming>,
    closed: bool,
}

impl FaultySubscriber {
    pub(super) fn new(
        inner: MemorySubscriber,
        fault: Option<Fault>,
        log: MemoryLog,
        consumer: String,
        shared: Arc<Shared>,
        skipped: BTreeMap<(Arc<str>, i32), i64>,
    ) -> Self {
        Self {
            inner: Some(inner),
            fault,
            log,
            consumer,
            shared,
            skipped,
            present: BTreeMap::new(),
            revoking: BTreeSet::new(),
            paused: BTreeSet::new(),
            was_paused: Arc::default(),
            out: BTreeMap::new(),
            truth: BTreeMap::new(),
            waiting: VecDeque::new(),
            closed: false,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn inner(&mut self) -> &mut MemorySubscriber {
        self.inner.as_mut().expect("it is taken only by drop")
    }

    fn settle_one(&mut self, lane: Lane, sequence: u64) {
        self.out.remove(&(lane, sequence));
        self.inner().settle(&mut vec![Receipt::new(lane, sequence)]);
    }

    /// Changes an incoming item, or withholds it.
    fn spoil(&mut self, incoming: Incoming) -> Option<Incoming> {
        match incoming {
            Incoming::Assigned { lane, name } => {
                self.present.insert(lane.slot, lane);
                let name = if self.is(Fault::NamesLanesAnew) { unique("lane").into() } else { name };
                Some(Incoming::Assigned { lane: self.shown(lane), name })
            }
            Incoming::Lost { .. } if self.is(Fault::HidesLosses) => None,
            Incoming::Lost { lane } => Some(Incoming::Lost { lane: self.shown(lane) }),
            Incoming::Revoking { lane, done } => {
                self.revoking.insert(lane);
                let done = if self.is(Fault::FreesRevokedLanes) { Done::new(|| ()) } else { done };
                Some(Incoming::Revoking { lane, done })
            }
            Incoming::Message(delivery) => self.spoil_delivery(delivery).map(Incoming::Message),
        }
    }

    fn shown(&self, lane: Lane) -> Lane {
        if self.is(Fault::RepeatsEpochs) { Lane { epoch: 0, ..lane } } else { lane }
    }

    fn spoil_delivery(&mut self, mut delivery: Delivery) -> Option<Delivery> {
        let (lane, sequence) = (delivery.receipt.lane(), delivery.receipt.position());
        self.out.insert((lane, sequence), delivery.message.clone());
        if let Some(position) = &mut delivery.position {
            let last = self.skipped.get(&(position.topic.clone(), position.partition));
            if last.is_some_and(|last| position.offset <= *last) {
                self.settle_one(lane, sequence);
                return None;
            }
            match self.fault {
                Some(Fault::RepeatsPlaces) => position.offset = 0,
                Some(Fault::RepeatsPositions) => {
                    self.truth.insert((lane, position.offset as u64), sequence);
                    delivery.receipt = Receipt::new(lane, position.offset as u64);
                }
                _ => {}
            }
        }
        match self.fault {
            Some(Fault::RepeatsEpochs) => delivery.receipt = Receipt::new(self.shown(lane), sequence),
            Some(Fault::SettlesOnDelivery) => self.settle_one(lane, sequence),
            Some(Fault::ReordersAPartition) => match self.waiting.pop_front() {
                // The second message carries the receipt of the first: only the contents are swapped.
                Some(Incoming::Message(mut first)) if first.receipt.lane() == lane => {
                    std::mem::swap(&mut first.message, &mut delivery.message);
                    std::mem::swap(&mut first.position, &mut delivery.position);
                    self.waiting.push_back(Incoming::Message(delivery));
                    return Some(first);
                }
                Some(other) => {
                    self.waiting.push_back(Incoming::Message(delivery));
                    return match other {
                        Incoming::Message(first) => Some(first),
                        _ => None,
                    };
                }
                None => {
                    self.waiting.push_back(Incoming::Message(delivery));
                    return None;
                }
            },
            _ => {}
        }
        spoil_message(self.fault, &mut delivery.message);
        Some(delivery)
    }

    /// Translates a receipt that was shown into a receipt of the log.
    fn true_receipt(&self, receipt: &Receipt) -> (Lane, u64) {
        let (lane, sequence) = (receipt.lane(), receipt.position());
        match self.fault {
            Some(Fault::RepeatsEpochs | Fault::SettlesOldEpochs) => {
                (self.present.get(&lane.slot).copied().unwrap_or(lane), sequence)
            }
            Some(Fault::RepeatsPositions) => {
                (lane, self.truth.get(&(lane, sequence)).copied().unwrap_or(sequence))
            }
            _ => (lane, sequence),
        }
    }
}

fn spoil_message(fault: Option<Fault>, message: &mut Message) {
    match fault {
        Some(Fault::DropsTheKey) => message.key = None,
        Some(Fault::DropsTheEmptyKey) => message.key = message.key.take().filter(|key| !key.is_empty()),
        Some(Fault::DropsHeaders) => {
            let id = message.headers.get(headers::ID).cloned().unwrap_or_default();
            message.headers = headers::Headers::new();
            message.headers.set(headers::ID, id);
        }
        Some(Fault::ManglesBytes) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            message.key = message.key.take().map(|key| text(&key).into());
            message.payload = text(&message.payload).into();
            let values: Vec<_> =
                message.headers.iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
            values.into_iter().for_each(|(name, value)| message.headers.set(&name, value));
        }
        Some(Fault::CutsPayloads) => message.payload.truncate(65_536),
        _ => {}
    }
}

impl Subscriber for FaultySubscriber {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if self.closed && self.is(Fault::HangsAfterClose) {
            return Poll::Pending;
        }
        loop {
            let mut deaf = Context::from_waker(Waker::noop());
            let context = if self.is(Fault::NeverWakes) { &mut deaf } else { &mut *cx };
            match self.inner().poll_next(context) {
                Poll::Ready(Some(Ok(incoming))) => {
                    if let Some(incoming) = self.spoil(incoming) {
                        return Poll::Ready(Some(Ok(incoming)));
                    }
                }
                Poll::Pending => {
                    return self
                        .waiting
                        .pop_front()
                        .map_or(Poll::Pending, |late| Poll::Ready(Some(Ok(late))));
                }
                ended => return ended,
            }
        }
    }

    fn pause(&mut self, lane: Lane) {
        self.paused.insert(lane);
        self.was_paused.store(true, Ordering::Relaxed);
        match self.fault {
            Some(Fault::IgnoresPause) => {}
            Some(Fault::PausesAnyEpoch | Fault::RepeatsEpochs) => {
                let present = self.present.get(&lane.slot).copied().unwrap_or(lane);
                self.inner().pause(present);
            }
            _ => self.inner().pause(lane),
        }
    }

    fn resume(&mut self, lane: Lane) {
        self.paused.remove(&lane);
        if !self.is(Fault::IgnoresResume) {
            self.inner().resume(lane);
        }
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        for receipt in done.drain(..) {
            let (lane, sequence) = self.true_receipt(&receipt);
            match self.fault {
                Some(Fault::ForgetsSettles | Fault::SettlesOnDelivery) => {}
                Some(Fault::ForgetsRevokedSettles) if self.revoking.contains(&lane) => {}
                Some(Fault::SettlesTheMaximum) => {
                    let before: Vec<_> =
                        self.out.range((lane, 0)..=(lane, sequence)).map(|(key, _)| *key).collect();
                    before.into_iter().for_each(|(lane, sequence)| self.settle_one(lane, sequence));
                }
                _ => self.settle_one(lane, sequence),
            }
        }
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        for receipt in back.drain(..) {
            let (lane, sequence) = self.true_receipt(&receipt);
            let message = self.out.remove(&(lane, sequence));
            match self.fault {
                Some(Fault::ForgetsReleases) => {}
                Some(Fault::SettlesPausedReleases) if self.paused.contains(&lane) => {
                    self.settle_one(lane, sequence);
                }
                Some(Fault::ReleasesToTheEnd) => {
                    self.settle_one(lane, sequence);
                    let batch: Vec<Message> = message.into_iter().collect();
                    // An in-memory log answers at the first poll.
                    let mut publish = self.log.publish(&batch);
                    assert!(publish.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
                }
                _ => self.inner().release(&mut vec![Receipt::new(lane, sequence)]),
            }
        }
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        let (inner, was_paused) = (self.inner.as_ref()?.lag()?, Arc::clone(&self.was_paused));
        Some(Arc::new(FaultyLag::new(inner, self.fault, self.log.clone(), was_paused)))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.closed = true;
        match self.fault {
            Some(Fault::NeverLeaves) => return Poll::Ready(Ok(())),
            Some(Fault::CloseSettlesEverything) => {
                let out: Vec<_> = self.out.keys().copied().collect();
                out.into_iter().for_each(|(lane, sequence)| self.settle_one(lane, sequence));
            }
            _ => {}
        }
        let closed = self.inner().poll_close(cx);
        if self.is(Fault::CloseForgetsSettles) {
            self.log.redeliver(&self.consumer);
        }
        closed
    }
}

impl Drop for FaultySubscriber {
    fn drop(&mut self) {
        if self.is(Fault::NeverLeaves)
            && let Some(inner) = self.inner.take()
        {
            self.shared.keep(inner);
        }
    }
}

impl fmt::Debug for FaultySubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultySubscriber").field("fault", &self.fault).finish_non_exhaustive()
    }
}
