//! The raw limits: the same work by hand, with nothing around it.

pub(crate) mod outbox;
pub(crate) mod relay;
