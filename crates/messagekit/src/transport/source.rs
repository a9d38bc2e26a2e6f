//! Where a consumer reads from.

use std::future::Future;

use super::{Capabilities, Subscriber};
use crate::Error;

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

    /// Joins the consumer of this name; a new name starts at the earliest record.
    ///
    /// # Errors
    /// Permanent when a topic's name breaks the grammar or the consumer's name cannot be used; transient when the backend
    /// does not answer.
    fn bind(self, consumer: &str) -> impl Future<Output = Result<Self::Subscriber, Error>> + Send;
}
