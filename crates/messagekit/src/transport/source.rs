//! Where a consumer reads from.

use std::future::Future;
use std::sync::Arc;

use super::{Capabilities, RetentionProbe, Subscriber};
use crate::store::{BoxFuture, NextOffset};
use crate::{Error, Message, Position};

/// The positions that a consumer's database remembers, to be asked for at any time.
pub trait RememberedOffsets: Send + Sync + 'static {
    /// Returns what [`Offsets::next_of`](crate::Offsets::next_of) returns for the consumer.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn next_of<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<NextOffset>, Error>>;

    /// Returns the key lane in whose position a message counts, see [`NextOffset::key_lane`]; 0, as by default, where partitions
    /// are not divided.
    fn key_lane(&self, _message: &Message, _place: &Position) -> u32 {
        0
    }
}

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
    fn retention(&self) -> Option<Arc<dyn RetentionProbe>> {
        None
    }

    /// Lends the source the memory of the consumer's database, before it is bound: what stands there when partitions are
    /// assigned is newer than what was remembered when the process started. By default it is not used.
    fn consult(&mut self, _memory: Arc<dyn RememberedOffsets>) {}

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
