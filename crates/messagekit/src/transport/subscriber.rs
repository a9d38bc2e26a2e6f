//! Receiving and settling.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Delivery, Lane, Receipt};
use crate::Error;

/// What a subscriber yields.
#[must_use]
#[derive(Debug)]
pub enum Incoming {
    /// A lane is ours from now on.
    Assigned {
        /// The lane.
        lane: Lane,
        /// What it is called in every process that gets it: `topic/partition`, or the name of a queue; empty where all that
        /// there is comes in one lane.
        name: Arc<str>,
    },
    /// A message of an assigned lane, in the lane's order.
    Message(Delivery),
    /// A lane goes to somebody else: finish or release what is in work, then drop `done`. Receipts that are settled before
    /// that still count. Messages of the lane that were in flight may follow; release them. Comes at most once per epoch;
    /// [`Lost`](Self::Lost) may follow when it takes too long.
    Revoking {
        /// The lane.
        lane: Lane,
        /// Dropped when nothing of the lane is in work any more.
        done: Done,
    },
    /// A lane is gone: what was received in it is delivered again, here or elsewhere. Nothing of it can be settled.
    Lost {
        /// The lane.
        lane: Lane,
    },
}

/// Tells the subscriber that a revoked lane is free. It fires when dropped, so that forgetting it cannot hang a rebalance.
#[must_use = "dropping it says that the lane is free"]
pub struct Done(Option<Box<dyn FnOnce() + Send>>);

impl Done {
    /// Makes one that calls `free` once.
    pub fn new(free: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(free)))
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(free) = self.0.take() {
            free();
        }
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}

/// A member of a consumer: yields deliveries of the lanes it is assigned, and takes receipts back.
///
/// Poll functions instead of async ones: nothing is lost when a future over them is dropped, "what is waiting" is exactly
/// "until pending", and the trait is object safe.
///
/// A caller keeps polling while lanes are paused. After an error from [`poll_next`](Self::poll_next) that is not
/// transient, and after `None`, the subscriber yields nothing more.
pub trait Subscriber: Send {
    /// Yields the next happening, or `None` after a close.
    ///
    /// # Errors
    /// Transient errors are for the log: the subscriber goes on by itself. A permanent one ends it.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>>;

    /// Stops deliveries of a lane. What the adapter holds fetched, a bounded number that its documentation states, may still
    /// come. A lane of another epoch: no effect.
    fn pause(&mut self, lane: Lane);

    /// Goes on with a paused lane.
    fn resume(&mut self, lane: Lane);

    /// Takes receipts of handled messages, in any order, and empties the list. Never blocks and never fails: what cannot be
    /// settled any more is delivered again.
    ///
    /// What may never be passed over is that a later receipt of a lane makes an earlier, unsettled one durable.
    fn settle(&mut self, done: &mut Vec<Receipt>);

    /// Takes receipts of messages given back unhandled, and empties the list. They are delivered again, perhaps under a new
    /// epoch of the lane, before any later message of the lane that was not delivered yet: what an adapter has fetched
    /// ahead waits behind them. A paused lane delivers them again only when it is resumed.
    fn release(&mut self, back: &mut Vec<Receipt>);

    /// Leaves: makes everything settled durable and gives the lanes up. Deliveries that were neither settled nor released
    /// count as released.
    ///
    /// # Errors
    /// When the last positions could not be written: those messages are delivered again.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
}

impl<S: Subscriber + ?Sized> Subscriber for Box<S> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        (**self).poll_next(cx)
    }

    fn pause(&mut self, lane: Lane) {
        (**self).pause(lane);
    }

    fn resume(&mut self, lane: Lane) {
        (**self).resume(lane);
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        (**self).settle(done);
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        (**self).release(back);
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        (**self).poll_close(cx)
    }
}
