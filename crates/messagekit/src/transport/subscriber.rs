//! Receiving and settling messages.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Delivery, LagProbe, Lane, Receipt};
use crate::Error;

/// An event of a subscriber.
#[must_use]
#[derive(Debug)]
pub enum Incoming {
    /// A lane is assigned to this subscriber.
    Assigned {
        /// The lane.
        lane: Lane,
        /// The lane's name, equal in every process that gets the lane: `topic/partition`, or the name of a queue. Empty if the
        /// source has only one lane.
        name: Arc<str>,
    },
    /// A message of an assigned lane, in the order of the lane.
    Message(Delivery),
    /// A lane moves to another process: finish or release its messages, then drop `done`. Receipts that are settled before that
    /// still count. Messages of the lane that were in flight may follow: release them. Occurs at most once per epoch.
    /// [`Lost`](Self::Lost) may follow if releasing takes too long.
    Revoking {
        /// The lane.
        lane: Lane,
        /// Drop it when no message of the lane is in work.
        done: Done,
    },
    /// A lane is lost. Its messages are delivered again, to this or another process. None of them can be settled.
    Lost {
        /// The lane.
        lane: Lane,
    },
}

/// Reports to the subscriber that a revoked lane is free. It fires when it is dropped, so a forgotten one cannot block a
/// rebalance.
#[must_use = "dropping it says that the lane is free"]
pub struct Done(Option<Box<dyn FnOnce() + Send>>);

impl Done {
    /// Creates one that calls `free` once.
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

/// A member of a consumer. It yields deliveries of its assigned lanes and takes their receipts.
///
/// The trait has poll functions instead of async ones for three reasons. Dropping a future over them loses nothing. A caller
/// drains the waiting messages by polling until `Pending`. The trait is object safe.
///
/// A caller keeps polling while lanes are paused. After `None`, or after an error from [`poll_next`](Self::poll_next) that is
/// not transient, the subscriber yields nothing more.
pub trait Subscriber: Send {
    /// Yields the next event, or `None` after a close.
    ///
    /// # Errors
    /// A transient error is for the log only: the subscriber recovers by itself. A permanent error ends the subscriber.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>>;

    /// Stops deliveries of a lane. Messages that the adapter has already fetched may still follow; the adapter's documentation
    /// states their maximum number. A lane of another epoch has no effect.
    fn pause(&mut self, lane: Lane);

    /// Resumes a paused lane.
    fn resume(&mut self, lane: Lane);

    /// Takes receipts of handled messages, in any order, and empties the list. It never blocks and never fails: messages that
    /// cannot be settled any more are delivered again.
    ///
    /// A later receipt of a lane must never make an earlier, unsettled one durable.
    fn settle(&mut self, done: &mut Vec<Receipt>);

    /// Takes receipts of unhandled messages and empties the list. The messages are delivered again, perhaps under a new epoch
    /// of the lane. They arrive before any later message of the lane that was not delivered yet: messages that the adapter has
    /// prefetched wait behind them. A paused lane delivers them only after it is resumed.
    fn release(&mut self, back: &mut Vec<Receipt>);

    /// Returns a probe for the lag of the lanes, which the consumer uses while it runs. The default is `None`, for backends that
    /// cannot tell it.
    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        None
    }

    /// Returns the lanes whose oldest message waits in the subscriber for a service that has failed. They count as blocked until the message
    /// is delivered. The default is none, for subscribers that hold no message back.
    fn held_lanes(&self) -> Vec<Lane> {
        Vec::new()
    }

    /// Leaves the consumer: makes all settled receipts durable and gives the lanes up. Deliveries that were neither settled nor
    /// released count as released.
    ///
    /// # Errors
    /// An error if the last positions could not be written. Their messages are delivered again.
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

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        (**self).lag()
    }

    fn held_lanes(&self) -> Vec<Lane> {
        (**self).held_lanes()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        (**self).poll_close(cx)
    }
}
