//! A future that its owner gives up half-way.

use std::pin::Pin;
use std::task::{Context, Poll};

/// When a future is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// While it waits.
    Waiting,
    /// When its answer is there and nobody has looked at it.
    Answered,
}

/// Polls a future a number of times and then gives it up: `None`.
pub(crate) struct GivenUp<F> {
    future: Pin<Box<F>>,
    polls: u32,
    moment: Moment,
}

pub(crate) fn given_up<F: Future>(future: F, polls: u32, moment: Moment) -> GivenUp<F> {
    GivenUp { future: Box::pin(future), polls, moment }
}

impl<F: Future> Future for GivenUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        let last = self.polls == 0 && self.moment == Moment::Waiting;
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if last => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
