//! A source that always has more does not keep a started batch waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use messagekit::Error;
use messagekit::adapter::{Capabilities, Incoming, Lane, NextOffset, Receipt, Source, Subscriber};
use messagekit_memory::{MemorySource, MemorySubscriber};

use crate::fixture::{World, start, until};
use crate::script::Script;

/// A source that pauses once, after its first message, and counts what it delivers before the first handler runs.
struct PausesOnce<S> {
    inner: S,
    script: Arc<Script>,
    early: Arc<AtomicUsize>,
    has_paused: bool,
}

impl Source for PausesOnce<MemorySource> {
    type Subscriber = PausesOnce<MemorySubscriber>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.inner.topics()
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        let inner = self.inner.bind(consumer, remembered).await?;
        Ok(PausesOnce { inner, script: self.script, early: self.early, has_paused: false })
    }
}

impl Subscriber for PausesOnce<MemorySubscriber> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if !self.has_paused && self.early.load(Ordering::Relaxed) == 1 {
            self.has_paused = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.inner.poll_next(cx);
        let is_message = matches!(next, Poll::Ready(Some(Ok(Incoming::Message(_)))));
        if is_message && self.script.runs().is_empty() {
            self.early.fetch_add(1, Ordering::Relaxed);
        }
        next
    }

    fn pause(&mut self, lane: Lane) {
        self.inner.pause(lane);
    }

    fn resume(&mut self, lane: Lane) {
        self.inner.resume(lane);
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.inner.settle(done);
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.inner.release(back);
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_close(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_started_batch_runs_before_the_backlog_is_read() {
    let world = World::new(1);
    world.push_all("a", 2_000).await;
    let early = Arc::new(AtomicUsize::new(0));
    let (inner, script) = (world.topics(), Arc::clone(&world.script));
    let source = PausesOnce { inner, script, early: Arc::clone(&early), has_paused: false };
    let consumer = start(world.billing_from(source));
    until(|| world.committed(0) == 2_000).await;
    let early = early.load(Ordering::Relaxed);
    assert!(early <= 100, "{early} messages were read before the first handler ran");
    consumer.stop().await;
}
