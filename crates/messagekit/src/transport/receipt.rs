//! A received message and the exclusive right to settle it.

use crate::{Message, Position};

/// An ordered queue under one assignment. If the queue is lost and assigned again, it has a greater epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The number of the queue: a partition or a broker queue.
    pub slot: u32,
    /// Increases with each assignment that a subscriber sees, which exposes receipts of an earlier assignment.
    pub epoch: u64,
}

/// The exclusive right to settle a delivery. The caller moves it into [`settle`](crate::adapter::Subscriber::settle) or
/// [`release`](crate::adapter::Subscriber::release), so settling twice does not compile.
#[must_use = "a receipt that is neither settled nor released keeps its message unfinished"]
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    lane: Lane,
    position: u64,
}

impl Receipt {
    /// Creates a receipt; only adapters call this. `position` increases with each delivery of a lane, including repeated
    /// deliveries.
    pub fn new(lane: Lane, position: u64) -> Self {
        Self { lane, position }
    }

    /// Returns the lane of the delivery.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns the number by which the adapter finds the message again.
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
    /// The position of the message, if the transport has positions.
    pub position: Option<Position>,
    /// The right to settle it.
    pub receipt: Receipt,
}
