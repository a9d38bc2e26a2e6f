//! A source that counts its deliveries and delivers one more after a pause.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use messagekit::Error;
use messagekit::adapter::{Capabilities, Incoming, Lane, NextOffset, Receipt, Source, Subscriber};

/// Counters of a [`Counted`] source.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pulled: AtomicUsize,
    back: AtomicUsize,
    pauses: AtomicUsize,
    resumes: AtomicUsize,
    remembered: Mutex<Vec<NextOffset>>,
}

impl Counts {
    /// Returns the number of deliveries.
    pub(crate) fn pulled(&self) -> usize {
        self.0.pulled.load(Ordering::Relaxed)
    }

    /// Returns the number of returned receipts, settled or released.
    pub(crate) fn back(&self) -> usize {
        self.0.back.load(Ordering::Relaxed)
    }

    /// Returns the offsets that the last binding received.
    pub(crate) fn remembered(&self) -> Vec<NextOffset> {
        self.0.remembered.lock().expect("no test panics with it").clone()
    }

    /// Returns the number of pauses and the number of resumes of lanes.
    pub(crate) fn pauses_and_resumes(&self) -> (usize, usize) {
        (self.0.pauses.load(Ordering::Relaxed), self.0.resumes.load(Ordering::Relaxed))
    }
}

pub(crate) struct Counted<S> {
    inner: S,
    counts: Counts,
    /// Whether one more delivery follows a pause, as the contract allows.
    is_late: bool,
    to_pause: Vec<Lane>,
}

impl<S> Counted<S> {
    pub(crate) fn new(inner: S, counts: &Counts) -> Self {
        Self { inner, counts: counts.clone(), is_late: false, to_pause: Vec::new() }
    }

    pub(crate) fn late(self) -> Self {
        Self { is_late: true, ..self }
    }
}

impl<S: Source> Source for Counted<S> {
    type Subscriber = Counted<S::Subscriber>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.inner.topics()
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        remembered.clone_into(&mut self.counts.0.remembered.lock().expect("no test panics with it"));
        let (counts, is_late, to_pause) = (self.counts, self.is_late, self.to_pause);
        Ok(Counted { inner: self.inner.bind(consumer, remembered).await?, counts, is_late, to_pause })
    }
}

impl<S: Subscriber> Subscriber for Counted<S> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        let next = self.inner.poll_next(cx);
        if let Poll::Ready(Some(Ok(Incoming::Message(_)))) = next {
            self.counts.0.pulled.fetch_add(1, Ordering::Relaxed);
            self.to_pause.drain(..).for_each(|lane| self.inner.pause(lane));
        }
        next
    }

    fn pause(&mut self, lane: Lane) {
        self.counts.0.pauses.fetch_add(1, Ordering::Relaxed);
        if self.is_late {
            self.to_pause.push(lane);
        } else {
            self.inner.pause(lane);
        }
    }

    fn resume(&mut self, lane: Lane) {
        self.counts.0.resumes.fetch_add(1, Ordering::Relaxed);
        self.inner.resume(lane);
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.counts.0.back.fetch_add(done.len(), Ordering::Relaxed);
        self.inner.settle(done);
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.counts.0.back.fetch_add(back.len(), Ordering::Relaxed);
        self.inner.release(back);
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_close(cx)
    }
}
