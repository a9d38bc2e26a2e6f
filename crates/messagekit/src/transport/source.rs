//! The source that a consumer reads from.

use std::future::Future;
use std::sync::Arc;

use super::{Capabilities, RetentionProbe, Subscriber, TopicList};
use crate::store::{BoxFuture, NextOffset};
use crate::{Error, Message, Position};

/// Reads the positions that a consumer's database has recorded. It can be called at any time.
pub trait RememberedOffsets: Send + Sync + 'static {
    /// Returns what [`Offsets::next_of`](crate::adapter::Positions::next_of) returns for the consumer.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn next_of<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<NextOffset>, Error>>;

    /// Returns whether the consumer was [primed](crate::Consumer::prime) and its group has not [got](Self::note_in_group) its positions: they
    /// count, although the consumer has never read from the broker. The default is false.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn is_primed(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Notes that the group of a primed consumer has its positions at the broker. The default does nothing.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn note_in_group(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Returns the key lane to whose position a message belongs, see [`NextOffset::key_lane`]. The default is 0, for partitions
    /// that are not divided.
    fn key_lane(&self, _message: &Message, _place: &Position) -> u32 {
        0
    }
}

/// What a consumer reads from: a [`Source`] with its topics, or a backend whose topics follow from the handlers.
///
/// A backend such as `Kafka` or `SqliteStore` reads the topics of the events that the consumer's handlers take. Every source is
/// its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source that a consumer can read from",
    label = "name a source before `build()`",
    note = "a source is a broker or a SQLite file: `.from(kafka)` or `.from(store)` for the topics of the handlers, \
            `.from(kafka.topics([OrderPlaced::TOPIC]))` for chosen ones",
    note = "a `PostgresStore` is none: a relay or Debezium brings its events to a broker, from which the consumer reads"
)]
pub trait IntoSource: Send + 'static {
    /// The source.
    type Source: Source;
    /// Whether the topics follow from the handlers.
    const FOLLOWS_HANDLERS: bool;

    /// Returns the source. `topics` are those of the events that the handlers take, sorted, each once; a source that has its
    /// topics ignores them.
    fn into_source(self, topics: Vec<&'static str>) -> Self::Source;
}

#[diagnostic::do_not_recommend]
impl<S: Source> IntoSource for S {
    type Source = S;
    const FOLLOWS_HANDLERS: bool = false;

    fn into_source(self, _: Vec<&'static str>) -> S {
        self
    }
}

/// Topics of one backend that are not bound to a consumer yet.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source that a consumer can read from",
    label = "name a source before `build()`",
    note = "a source is a broker or a SQLite file: `.from(kafka)` or `.from(store)` for the topics of the handlers, \
            `.from(kafka.topics([OrderPlaced::TOPIC]))` for chosen ones",
    note = "a `PostgresStore` is none: a relay or Debezium brings its events to a broker, from which the consumer reads"
)]
pub trait Source: Send + 'static {
    /// The subscriber type that [`bind`](Self::bind) returns.
    type Subscriber: Subscriber + 'static;

    /// Returns the capabilities of the adapter.
    fn capabilities(&self) -> Capabilities;

    /// Returns the topics that the source reads.
    fn topics(&self) -> &[Arc<str>];

    /// Returns a probe for the retention of the topics, which the consumer uses while it runs. The default is `None`, for
    /// backends that do not report retention.
    fn retention(&self) -> Option<Arc<dyn RetentionProbe>> {
        None
    }

    /// Returns a list of the topics that exist, which the consumer reads once when it starts, to warn of a topic that does not.
    /// The default is `None`, for a backend that cannot list topics.
    fn topic_list(&self) -> Option<Arc<dyn TopicList>> {
        None
    }

    /// Gives the source access to the positions in the consumer's database, before the source is bound. When partitions are
    /// assigned, these positions are newer than the ones read at process start. The default ignores them.
    fn consult(&mut self, _memory: Arc<dyn RememberedOffsets>) {}

    /// Joins the consumer of this name. A new name starts at the earliest record.
    ///
    /// `remembered` contains the positions that the consumer's database has recorded for the topics. If a broker has lost such
    /// a position, the subscriber reports it through [`poll_next`](Subscriber::poll_next) instead of starting from the
    /// beginning. A log that keeps its cursors in a database begins there in a partition where the consumer has no cursor.
    ///
    /// # Errors
    /// A permanent error if a topic's name is not valid or the consumer's name cannot be used; a retry does not help. An
    /// unreachable backend is no error: the subscriber connects by itself and reports the outage through `poll_next`.
    fn bind(
        self,
        consumer: &str,
        remembered: &[NextOffset],
    ) -> impl Future<Output = Result<Self::Subscriber, Error>> + Send;
}
