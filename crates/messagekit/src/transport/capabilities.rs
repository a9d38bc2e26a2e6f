//! What an adapter can do.

use std::num::NonZeroU32;
use std::time::Duration;

/// How much one transaction should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// At most this many messages.
    pub messages: NonZeroU32,
    /// No further handler starts after this much time inside handlers.
    pub time: Duration,
}

impl BatchLimit {
    /// 200 messages or 50 ms: short handlers share a commit, and the locks of slow ones are not held for long.
    pub const DEFAULT: Self =
        Self { messages: NonZeroU32::new(200).expect("200 > 0"), time: Duration::from_millis(50) };

    /// One message at a time, for handlers with effects outside the database.
    pub const ONE: Self = Self { messages: NonZeroU32::MIN, time: Duration::MAX };
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What an adapter can do; the loop reads sizes from it and never asks which adapter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Messages survive the end of the process.
    pub persistent: bool,
    /// Several processes of one consumer divide the lanes among them; where false, one works and the others stand by.
    pub shares_work: bool,
    /// Deliveries have a [`Position`](crate::Place).
    pub positions: bool,
    /// Later messages of a lane may be applied before earlier ones. Where false, the place moves with the transaction of the
    /// effects, one after the other.
    pub any_order: bool,
    /// What a batch should hold unless the user says otherwise.
    pub batch: BatchLimit,
}
