//! The capabilities of an adapter.

use std::num::NonZeroU32;
use std::time::Duration;

/// The size of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// Maximum number of messages.
    pub messages: NonZeroU32,
    /// Time inside handlers after which no further handler starts.
    pub time: Duration,
}

impl BatchLimit {
    /// 200 messages or 50 ms. Short handlers share a commit, and slow handlers do not hold locks for long.
    pub const DEFAULT: Self =
        Self { messages: NonZeroU32::new(200).expect("200 > 0"), time: Duration::from_millis(50) };

    /// One message per transaction, for handlers with effects outside the database.
    pub const ONE: Self = Self { messages: NonZeroU32::MIN, time: Duration::MAX };
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The capabilities of an adapter. The consumer loop reads them and never checks which adapter it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The kind of broker as spans name it, such as `kafka`.
    pub system: &'static str,
    /// Messages survive the end of the process.
    pub persistent: bool,
    /// Several processes of one consumer share the lanes. If false, one process works and the others stand by.
    pub shares_work: bool,
    /// Deliveries have a [`Position`](crate::Position).
    pub positions: bool,
    /// The consumer may apply later messages of a lane before earlier ones. If false, the position moves in the transaction of
    /// the effects, one message after another.
    pub any_order: bool,
    /// The batch size unless the user sets another.
    pub batch: BatchLimit,
}
