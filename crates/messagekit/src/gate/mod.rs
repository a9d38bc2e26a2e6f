//! Gates pause a consumer, a [relay](crate::relay::RelayBuilder::gate) or a [publisher](GatedPublisher). A closed gate admits no more
//! messages and fails none.
//!
//! The lane behind a closed gate fills its delivery window, and the full window pauses the lane. The consumer keeps its
//! membership, attempts do not change, and resuming costs nothing.
//!
//! The consumer polls gates in the order in which they were added and stops at the first one that waits. Add the gates that are
//! cheapest to wait for first: [`RateLimit`], then [`CircuitBreaker`], then [`Concurrency`]. A batch that waits for its turn
//! then holds no permit.

mod breaker;
mod breaker_call;
mod chain;
mod circuit_breaker;
mod clock;
mod concurrency;
mod gated_publisher;
mod inside;
mod keyed_rate_limit;
mod quota;
mod rate_limit;
mod states;
mod watched;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::store::FailureKind;
use crate::transport::Lane;

pub use breaker::BreakerState;
pub use breaker_call::CallRefused;
pub(crate) use chain::Starts;
pub use chain::{Gates, Pass};
pub use circuit_breaker::CircuitBreaker;
pub use concurrency::Concurrency;
pub use gated_publisher::GatedPublisher;
pub use keyed_rate_limit::{KeyedRateLimit, LimitReached};
pub use rate_limit::RateLimit;
pub use states::{GateState, GateStates};

/// The lane of a request that has none; no subscriber has a lane of this slot.
pub(crate) const NO_LANE: Lane = Lane { slot: u32::MAX, epoch: 0 };

/// A request for admission. Polls for due failed messages also request admission: for one message, or for a batch while a
/// blocked key is drained. They have 0 bytes and a lane of slot `u32::MAX`, as the reads of a relay do; that lane also has a publish behind gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// The lane of the messages.
    pub lane: Lane,
    /// The number of ready messages, or of events that a read of a relay would request; a gate may grant fewer.
    pub messages: u32,
    /// The size of the messages in bytes.
    pub bytes: usize,
}

/// The report to a gate about an admitted batch. A batch that started no handler, as in an outage of the store or of duplicates,
/// has the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The number of messages whose handlers have started, whatever they returned; a publish of the bridge counts as one, and so does an
    /// event that a relay has read. A
    /// message whose handler starts again in the same run, after a bisection or a lock conflict, counts again. So it may be more
    /// than was granted: a gate that counts messages then owes the difference.
    pub used: u32,
    /// Whether a message was handled.
    pub handled: bool,
    /// The kinds of the failed runs behind the last handled message, in order.
    pub failed: Vec<FailureKind>,
}

/// Takes back the contents of a dropped permit: a concurrency permit, a trial or tokens.
pub trait Abandon: Send + Sync {
    /// Runs once, when a permit is dropped instead of settled. `unused` is the number of granted messages whose handlers have
    /// not started. A closed later gate drops the permits of the earlier ones, so this must not wake the handle that is polling.
    fn abandon(&self, stamp: u64, unused: u32);
}

/// The right to start the handlers of a number of messages. Dropping it gives back those that have not started.
#[must_use = "a permit is settled with the outcome, or dropped to give it back"]
pub struct Permit {
    stamp: u64,
    granted: u32,
    owner: Option<Arc<dyn Abandon>>,
}

impl Permit {
    /// Creates a permit for `granted` messages. `stamp` tells the gate which of its states granted it.
    pub fn new(stamp: u64, granted: u32, owner: Option<Arc<dyn Abandon>>) -> Self {
        Self { stamp, granted, owner }
    }

    /// Returns the number of messages that it admits.
    pub fn granted(&self) -> u32 {
        self.granted
    }

    /// Keeps the messages whose handlers have started from being given back.
    fn use_up(&mut self, started: u32) {
        self.granted = self.granted.saturating_sub(started);
    }

    /// Returns the stamp and the number of messages, for settling.
    pub fn redeem(mut self) -> (u64, u32) {
        self.owner = None;
        (self.stamp, self.granted)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.abandon(self.stamp, self.granted);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("stamp", &self.stamp)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

/// Tells since when a gate has been closed for everyone; `None` while it is open.
pub type ClosedSince = Arc<dyn Fn() -> Option<Instant> + Send + Sync>;

/// Pauses a consumer without failing messages. The value is a handle with its own timers; clones of a gate share their state
/// behind it.
///
/// A gate pauses the whole consumer, not one lane: while it waits with one lane, the consumer does not poll it for the others.
pub trait Gate: Send {
    /// Returns the gate's name in metrics and health.
    fn name(&self) -> &'static str;

    /// Admits at least one and at most `batch.messages` messages, or stores the waker and returns pending.
    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit>;

    /// Returns a function that tells since when the gate has admitted nothing to anyone, for statistics: it is closed although
    /// no batch waits for it. The default is `None`, for a gate that is closed only while a batch waits.
    fn closed_since(&self) -> Option<ClosedSince> {
        None
    }

    /// Returns whether admitted messages only test if the dependency works again.
    fn is_trying(&self) -> bool {
        false
    }

    /// Records the outcome of an admitted batch: what [`Outcome::used`] counts is used, and the rest of the grant is free again.
    /// The outcome of a permit of an older state is ignored.
    fn settle(&mut self, permit: Permit, outcome: &Outcome);
}
