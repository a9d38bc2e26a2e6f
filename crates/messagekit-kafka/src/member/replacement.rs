//! The client that replaces one without brokers.

use std::time::Instant;

use rdkafka::consumer::BaseConsumer;

use crate::background::Answer;
use crate::context::Context;

/// The client that replaces one without brokers.
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
}
