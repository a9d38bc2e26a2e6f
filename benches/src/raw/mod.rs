//! The raw limits: the same work by hand.

pub(crate) mod outbox;
pub(crate) mod relay;
