//! What may hold a consumer back: a closed gate takes nothing more, and fails nothing.
//!
//! The lane behind a closed gate fills to its window and the window pauses it: membership is kept, attempts are untouched,
//! and going on costs nothing.
//!
//! Gates are asked in the order in which they are added, and the first one that waits ends the question. Add what is cheapest
//! to wait for first: [`RateLimit`], then [`CircuitBreaker`], then [`Concurrency`], so that a batch which waits for its turn
//! holds no permit.

mod breaker;
mod chain;
mod circuit_breaker;
mod concurrency;
mod rate_limit;
mod watched;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::transport::Lane;

pub use breaker::BreakerState;
pub(crate) use chain::{Gates, Holding, Pass};
pub use circuit_breaker::CircuitBreaker;
pub use concurrency::Concurrency;
pub use rate_limit::RateLimit;

/// What asks for admission. Looking for due failed messages asks too: one message, or a batch while a blocked
/// key is drained, of 0 bytes in a lane of slot `u32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// The lane it comes from.
    pub lane: Lane,
    /// How many messages are ready; a gate may grant fewer.
    pub messages: u32,
    /// Their bytes.
    pub bytes: usize,
}

/// How an admitted batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The dependency worked.
    Success,
    /// The dependency failed.
    Failure,
    /// Says nothing about the dependency: a bad message, a lost lane.
    Neutral,
}

/// What a gate is told at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// How many of the granted messages were used.
    pub used: u32,
}

/// Takes back what a dropped permit held: a permit, a probe, tokens.
pub trait Abandon: Send + Sync {
    /// Called once, when a permit is dropped instead of settled. A later gate that is closed drops the permits of the earlier
    /// ones, so this must not wake the very handle that is asking.
    fn abandon(&self, stamp: u64, granted: u32);
}

/// The right to handle a number of messages. Dropping it gives everything back.
#[must_use = "a permit is settled with the outcome, or dropped to give it back"]
pub struct Permit {
    stamp: u64,
    granted: u32,
    owner: Option<Arc<dyn Abandon>>,
}

impl Permit {
    /// Makes one for `granted` messages; `stamp` tells the gate which of its states gave it.
    pub fn new(stamp: u64, granted: u32, owner: Option<Arc<dyn Abandon>>) -> Self {
        Self { stamp, granted, owner }
    }

    /// Returns how many messages it admits.
    pub fn granted(&self) -> u32 {
        self.granted
    }

    /// Takes it apart for settling: stamp and number.
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

/// Holds a consumer back without failing anything. The value is a handle with timers of its own; state that is shared by
/// several consumers lives behind it.
///
/// It holds back the consumer and not one of its lanes: while it waits with one, the others are not asked.
pub trait Gate: Send {
    /// Returns the gate's name in metrics and health.
    fn name(&self) -> &'static str;

    /// Admits at least one and at most `batch.messages` messages, or stores the waker and answers pending.
    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit>;

    /// Returns whether what it lets through only finds out whether the dependency works again.
    fn is_trying(&self) -> bool {
        false
    }

    /// Learns how an admitted batch ended; a permit of an older state says nothing any more.
    fn settle(&mut self, permit: Permit, outcome: &Outcome);
}
