//! Where a consumer reads from.

use std::future::Future;
use std::sync::Arc;

use super::{Capabilities, Subscriber, TopicRetention};
use crate::Error;
use crate::store::NextOffset;

/// Topics of one backend, not yet bound to a consumer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be consumed from",
    note = "a source comes from an adapter: `store.topics([\"orders.order\"])`"
)]
pub trait Source: Send + 'static {
    /// The member that binding makes.
    type Subscriber: Subscriber + 'static;

    /// Says what the adapter can do.
    fn capabilities(&self) -> Capabilities;

    /// Returns the topics it reads.
    fn topics(&self) -> &[Arc<str>];

    /// Returns whom to ask how long the topics keep their records, while the consumer runs; `None`, as by default, where
    /// nobody can tell.
    fn retention(&self) -> Option<Arc<dyn TopicRetention>> {
        None
    }

    /// Joins the consumer of this name; a new name starts at the earliest record.
    ///
    /// `remembered` is what the consumer's database has noted for the topics: a broker that has lost a position which stands
    /// there must say so, through [`poll_next`](Subscriber::poll_next), instead of starting anew. A log that keeps its
    /// cursors in a database has no use for it.
    ///
    /// # Errors
    /// Permanent when a topic's name breaks the grammar or the consumer's name cannot be used. A backend that does not answer
    /// is no reason to fail: the subscriber connects by itself, and says so through `poll_next`.
    fn bind(
        self,
        consumer: &str,
        remembered: &[NextOffset],
    ) -> impl Future<Output = Result<Self::Subscriber, Error>> + Send;
}
