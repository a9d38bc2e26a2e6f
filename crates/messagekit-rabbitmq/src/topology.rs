//! Exchanges, queues and bindings that shall be there.

use crate::RabbitMq;

/// A list of exchanges, queues and bindings that shall be there.
#[derive(Clone, Debug)]
pub struct Topology {
    rabbit: RabbitMq,
}

impl Topology {
    pub(crate) fn of(rabbit: RabbitMq) -> Self {
        Self { rabbit }
    }
}
