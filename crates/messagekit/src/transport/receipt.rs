//! A received message and the single right to settle it.

use crate::{Message, Position};

/// One ordered queue under one assignment; after a loss the same queue comes back with a greater epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// Which queue: a partition, a broker queue.
    pub slot: u32,
    /// Grows with each assignment that one subscriber sees, so that what belongs to an earlier one is noticed.
    pub epoch: u64,
}

/// The single right to settle a delivery: it is moved into [`settle`](crate::Subscriber::settle) or
/// [`release`](crate::Subscriber::release), so settling twice does not compile.
#[must_use = "a receipt that is neither settled nor released keeps its message unfinished"]
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    lane: Lane,
    position: u64,
}

impl Receipt {
    /// Makes one; only adapters do. `position` grows with each delivery of a lane, repeated deliveries included.
    pub fn new(lane: Lane, position: u64) -> Self {
        Self { lane, position }
    }

    /// Returns the lane it was delivered in.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns what the adapter needs to find the message again.
    pub fn position(&self) -> u64 {
        self.position
    }
}

/// A received message with its receipt.
#[must_use = "a delivery must be settled or released"]
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Where it stands, when the transport has coordinates.
    pub position: Option<Position>,
    /// The right to settle it.
    pub receipt: Receipt,
}
