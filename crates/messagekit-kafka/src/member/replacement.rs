//! The client that replaces one that cannot go on.

use std::time::Instant;

use rdkafka::consumer::BaseConsumer;

use crate::background::{Answer, spawn};
use crate::context::Context;

/// The client that replaces one without brokers, or one that was fenced.
#[derive(Default)]
pub(super) enum Replacement {
    #[default]
    None,
    /// Another client queries the group in the background.
    Asking(Answer<Option<BaseConsumer<Context>>>),
    /// The group has answered that client.
    Answered { client: BaseConsumer<Context>, at: Instant },
    /// The group answers no client: it is unreachable.
    Vain { until: Instant },
    /// The group has fenced this client, for the first time in a while.
    Fenced,
}

impl Replacement {
    /// Drops it without blocking the caller, which dropping a client may do.
    pub(super) fn give_up(self) {
        if let Self::Answered { client, .. } = self {
            spawn("leave", move || drop(client));
        }
    }
}
