//! The topics of a database for programs that know them by name only: statements, HTTP, the command line.

mod append;
mod claims;
mod consume;
mod definitions;
mod message;
mod names;
mod read;
mod refusals;
mod requests;

use std::sync::Arc;

use messagekit::Shutdown;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, KnownSource};
use messagekit_topic_store::Pages;
use messagekit_topic_store::{
    AddedSource, OnSources, RetentionRule, TableSources, TopicDefinition, TopicView,
};
use serde_json::Value;

pub use messagekit_wire as wire;
use messagekit_wire::{
    Acknowledge, Acknowledged, Append, Appended, Consume, ConsumeAnswer, Done, Extend, Extended, GiveBack,
    Start,
};
pub use requests::{NewSource, NewTopic};

pub use crate::row_expression::{MAX_EXPRESSION_BYTES, tree as expression_tree};

use crate::{Error, Topics};

/// What can be done with the topics of a database by their names. [`Topics`] over any store that keeps them is one.
///
/// Claims are those of a server's clients: only their lease ends them.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use messagekit_topics::Topics;
/// use messagekit_topics::operations::wire::{Acknowledge, Append, Consume, Start};
/// use messagekit_topics::operations::{NewTopic, TopicOperations};
/// use serde_json::{json, value::to_raw_value};
///
/// # let folder = tempfile::tempdir()?;
/// let topics: Box<dyn TopicOperations> = Box::new(Topics::open(folder.path().join("shop.db")).await?);
/// topics.create_topic(&NewTopic::named("shop.orders")).await?;
/// topics.append(&Append::records("shop.orders", vec![to_raw_value(&json!({ "id": 7 }))?])).await?;
/// let start = Some(Start::Earliest);
/// let request = Consume { group_id: Some("shipping".into()), start, ..Consume::of("shop.orders") };
/// let answer = topics.consume(&request, None).await?;
/// assert_eq!(answer.messages[0].payload, r#"{"id":7}"#);
/// topics.acknowledge(&Acknowledge::up_to("shop.orders", "shipping", 0, 0)).await?;
/// # drop(topics);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TopicOperations: Send + Sync {
    /// Returns records: claimed for a group, or only read.
    ///
    /// It waits for at most [`Consume::timeout_seconds`], a day at most, or until the shutdown while there are none, and asks the database
    /// only when records have come. A limit out of the range is the nearest number in it. Without a partition it reads all of them, and
    /// [`ConsumeAnswer::next_offset`] is known only if the topic has one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic or partition that is not there.
    /// [`ErrorKind::OutOfRange`](messagekit::ErrorKind::OutOfRange), with the values `partition`, `earliest` and `end`, for an offset that
    /// the partition does not have any more, and for a group that was overtaken and is to fail.
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a lease that is not from 1 s to a day, and for a name
    /// that no group has. A transient error if the database
    /// does not answer: retry.
    ///
    /// # Cancel safety
    /// A dropped call may leave records claimed, until their lease ends.
    fn consume<'a>(
        &'a self,
        request: &'a Consume,
        shutdown: Option<Shutdown>,
    ) -> BoxFuture<'a, Result<ConsumeAnswer, Error>>;

    /// Finishes records of a claim. Without the id of a claim it finishes the records up to `upto_offset` in the claim of the group that holds
    /// this offset. A request names at most 1,000 offsets. Returns the last offset of the settled prefix of the partition. It never
    /// goes back.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`](messagekit::ErrorKind::ClaimLost) if the claim does not hold the records.
    /// [`ErrorKind::OutOfRange`](messagekit::ErrorKind::OutOfRange) without a claim, for an offset that the partition does not have yet.
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that is not there, and
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a request that contradicts itself, or a name
    /// that no group has. A transient error if the database does not answer: retry.
    fn acknowledge<'a>(&'a self, request: &'a Acknowledge) -> BoxFuture<'a, Result<Acknowledged, Error>>;

    /// Gives records of a claim back. Failed ones may be claimed again after the delay, and are failed messages of the group when their
    /// attempts are used up. Records that were not tried may be claimed at once, and this attempt does not count. An error is cut at 1,000
    /// bytes.
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge) with a claim.
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) also for a delay of more than a week, and for
    /// a delay or an error of records that were not tried.
    fn give_back<'a>(&'a self, request: &'a GiveBack) -> BoxFuture<'a, Result<Done, Error>>;

    /// Extends the lease of a claim, from now.
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge) with a claim.
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) also for a lease that is not from 1 s to a day.
    fn extend<'a>(&'a self, request: &'a Extend) -> BoxFuture<'a, Result<Extended, Error>>;

    /// Moves a group in one partition, or in all, and ends its claims there. Returns each partition with the offset from which it goes on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) and [`ErrorKind::OutOfRange`](messagekit::ErrorKind::OutOfRange) as
    /// [`consume`](Self::consume): partitions before the one that fails have moved. A transient error if the database does not answer: retry.
    fn reset<'a>(
        &'a self,
        topic: &'a str,
        group: &'a str,
        partition: Option<i32>,
        to: Start,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>>;

    /// Forgets a group in a topic, as [`HandledRecords::drop_consumer`](messagekit_topic_store::HandledRecords::drop_consumer) does. Returns false if the group has not read it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that is not there. A transient error if the database does not
    /// answer: retry.
    fn drop_group<'a>(&'a self, topic: &'a str, group: &'a str) -> BoxFuture<'a, Result<bool, Error>>;

    /// Appends JSON objects in one transaction, and returns what became of each.
    ///
    /// # Errors
    /// As [`Topic::append_json`](crate::Topic::append_json): nothing was appended. [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a
    /// topic that is not there. [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a request with both one
    /// record and several, or with neither.
    fn append<'a>(&'a self, request: &'a Append) -> BoxFuture<'a, Result<Appended, Error>>;

    /// Returns the offsets of each partition of a topic, in order.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that is not there. A transient error if the database does not
    /// answer: retry.
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>>;

    /// Makes a topic, and returns false if there is one of this name already, which stays as it is.
    ///
    /// # Errors
    /// As [`TopicBuilder::open`](crate::TopicBuilder::open). [`ErrorKind::WrongState`](messagekit::ErrorKind::WrongState) for a topic that holds
    /// events of an outbox in another number of partitions: nothing has changed.
    fn create_topic<'a>(&'a self, topic: &'a NewTopic) -> BoxFuture<'a, Result<bool, Error>>;

    /// Returns what the topics were made with, sorted by name.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn definitions(&self) -> BoxFuture<'_, Result<Vec<TopicDefinition>, Error>>;

    /// Sets how long a topic keeps its records, or `None` for ever.
    ///
    /// # Errors
    /// As [`Topic::set_retention`](crate::Topic::set_retention), and [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound).
    fn set_retention<'a>(
        &'a self,
        topic: &'a str,
        rule: Option<RetentionRule>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Deletes the records of a topic, and returns how many. As [`Topics::clear`].
    ///
    /// # Errors
    /// As [`Topics::clear`].
    fn clear_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<u64, Error>>;

    /// Drops a topic. As [`Topics::drop`].
    ///
    /// # Errors
    /// As [`Topics::drop`].
    fn drop_topic<'a>(&'a self, topic: &'a str, on_sources: OnSources) -> BoxFuture<'a, Result<(), Error>>;

    /// Makes the changes of a table events of a topic. As [`SourceBuilder::add`](crate::SourceBuilder::add).
    ///
    /// # Errors
    /// As [`SourceBuilder::add`](crate::SourceBuilder::add).
    fn add_source<'a>(&'a self, source: &'a NewSource) -> BoxFuture<'a, Result<AddedSource, Error>>;

    /// Removes a table from the sources of a topic. As [`Topics::drop_source`].
    ///
    /// # Errors
    /// As [`Topics::drop_source`].
    fn drop_source<'a>(&'a self, topic: &'a str, table: &'a str) -> BoxFuture<'a, Result<bool, Error>>;

    /// Returns all table sources, each with what is wrong with it.
    ///
    /// # Errors
    /// As [`Topics::sources`].
    fn sources(&self) -> BoxFuture<'_, Result<Vec<KnownSource>, Error>>;

    /// Returns the rows of a view over the topics, in the order of its columns.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn view_rows(&self, view: TopicView) -> BoxFuture<'_, Result<Vec<Vec<Value>>, Error>>;
}

impl<S: TableSources + Pages> TopicOperations for Topics<S> {
    fn consume<'a>(
        &'a self,
        request: &'a Consume,
        shutdown: Option<Shutdown>,
    ) -> BoxFuture<'a, Result<ConsumeAnswer, Error>> {
        Box::pin(consume::consume(self.store(), request, shutdown))
    }

    fn acknowledge<'a>(&'a self, request: &'a Acknowledge) -> BoxFuture<'a, Result<Acknowledged, Error>> {
        Box::pin(claims::acknowledge(self.store(), request))
    }

    fn give_back<'a>(&'a self, request: &'a GiveBack) -> BoxFuture<'a, Result<Done, Error>> {
        Box::pin(claims::give_back(self.store(), request))
    }

    fn extend<'a>(&'a self, request: &'a Extend) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(claims::extend(self.store(), request))
    }

    fn reset<'a>(
        &'a self,
        topic: &'a str,
        group: &'a str,
        partition: Option<i32>,
        to: Start,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(claims::reset(self.store(), topic, group, partition, to))
    }

    fn drop_group<'a>(&'a self, topic: &'a str, group: &'a str) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            names::group(topic, group)?;
            let topic = Arc::from(topic);
            // A topic that is not there has no bounds.
            self.store().bounds(&topic).await?;
            Ok(self.store().drop_consumer(&topic, group).await?)
        })
    }

    fn append<'a>(&'a self, request: &'a Append) -> BoxFuture<'a, Result<Appended, Error>> {
        Box::pin(append::append(self, request))
    }

    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move {
            names::topic(topic)?;
            Ok(self.store().bounds(topic).await?)
        })
    }

    fn create_topic<'a>(&'a self, topic: &'a NewTopic) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(definitions::create(self, topic))
    }

    fn definitions(&self) -> BoxFuture<'_, Result<Vec<TopicDefinition>, Error>> {
        Box::pin(self.definitions())
    }

    fn set_retention<'a>(
        &'a self,
        topic: &'a str,
        rule: Option<RetentionRule>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(definitions::set_retention(self, topic, rule))
    }

    fn clear_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            names::topic(topic)?;
            self.clear(topic).await
        })
    }

    fn drop_topic<'a>(&'a self, topic: &'a str, on_sources: OnSources) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            names::topic(topic)?;
            self.drop_by(Arc::from(topic), on_sources).await
        })
    }

    fn add_source<'a>(&'a self, source: &'a NewSource) -> BoxFuture<'a, Result<AddedSource, Error>> {
        Box::pin(definitions::add_source(self, source))
    }

    fn drop_source<'a>(&'a self, topic: &'a str, table: &'a str) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            names::topic(topic)?;
            self.drop_source(topic, table).await
        })
    }

    fn sources(&self) -> BoxFuture<'_, Result<Vec<KnownSource>, Error>> {
        Box::pin(self.sources())
    }

    fn view_rows(&self, view: TopicView) -> BoxFuture<'_, Result<Vec<Vec<Value>>, Error>> {
        Box::pin(async move { Ok(self.store().view_rows(view).await?) })
    }
}
