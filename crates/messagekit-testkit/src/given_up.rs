//! A future that is dropped before it is complete.

use std::pin::Pin;
use std::task::{Context, Poll};

/// The moment at which a future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While it is pending.
    Waiting,
    /// After its next wake-up, before it is polled again.
    Answered,
}

/// Polls a future `polls` times and then drops it. Returns `None`, or its output if it was ready before. A loop over
/// `polls` drops it at each of its awaits.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use messagekit_testkit::{Moment, given_up};
///
/// let work = async || {
///     tokio::task::yield_now().await;
///     7
/// };
/// assert_eq!(given_up(work(), 1, Moment::Waiting).await, None);
/// assert_eq!(given_up(work(), 1, Moment::Answered).await, None);
/// assert_eq!(given_up(work(), 2, Moment::Waiting).await, Some(7));
/// # });
/// ```
pub fn given_up<F: Future>(future: F, polls: u32, moment: Moment) -> impl Future<Output = Option<F::Output>> {
    GivenUp { future: Some(Box::pin(future)), polls, moment }
}

struct GivenUp<F> {
    future: Option<Pin<Box<F>>>,
    polls: u32,
    moment: Moment,
}

impl<F: Future> Future for GivenUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            self.future = None;
        }
        let last = self.polls == 1 && self.moment == Moment::Waiting;
        let Some(future) = &mut self.future else { return Poll::Ready(None) };
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                self.polls -= 1;
                if last {
                    self.future = None;
                    return Poll::Ready(None);
                }
                Poll::Pending
            }
        }
    }
}
