//! One run of a handler over a message.

use tokio::time::Instant;

use crate::Meta;
use crate::handler::{CallResult, Given};
use crate::message::DeliveryInfo;
use crate::store::ReceivedMessage;

/// A message for a handler, and the number of its run.
pub(super) struct Run<'a> {
    pub(super) received: &'a ReceivedMessage,
    pub(super) meta: &'a Meta,
    pub(super) attempt: u32,
    /// The result of its call, if its handler has two phases.
    pub(super) called: Option<CallResult>,
}

impl<'a> Run<'a> {
    /// Returns what the handler is given.
    pub(super) fn given(&self, deadline: Instant) -> Given<'a> {
        Given {
            message: &self.received.message,
            meta: self.meta.clone(),
            called: self.called.clone(),
            info: DeliveryInfo {
                attempt: self.attempt,
                headers: self.received.message.headers.clone(),
                position: self.received.position.clone(),
                deadline: Some(deadline),
            },
        }
    }
}
