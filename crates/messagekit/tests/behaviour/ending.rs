//! A source that ends permanently after a time, such as one whose position the broker has lost.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use messagekit::adapter::{Capabilities, Incoming, Lane, NextOffset, Receipt, Source, Subscriber};
use messagekit::{Error, ErrorKind};
use tokio::time::Sleep;

pub(crate) struct Ending<S> {
    inner: S,
    after: Duration,
}

impl<S> Ending<S> {
    pub(crate) fn new(inner: S, after: Duration) -> Self {
        Self { inner, after }
    }
}

impl<S: Source> Source for Ending<S> {
    type Subscriber = EndingSubscriber<S::Subscriber>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.inner.topics()
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        let inner = self.inner.bind(consumer, remembered).await?;
        Ok(EndingSubscriber { inner, time: Some(Box::pin(tokio::time::sleep(self.after))) })
    }
}

pub(crate) struct EndingSubscriber<S> {
    inner: S,
    /// `None` after its end.
    time: Option<Pin<Box<Sleep>>>,
}

impl<S: Subscriber> Subscriber for EndingSubscriber<S> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        let Some(time) = &mut self.time else { return Poll::Ready(None) };
        if time.as_mut().poll(cx).is_ready() {
            self.time = None;
            return Poll::Ready(Some(Err(Error::new(ErrorKind::Corrupt, "the position is lost"))));
        }
        self.inner.poll_next(cx)
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
