//! Definitions of typed topics.

use std::future::Future;
use std::sync::Arc;

use messagekit::Store;
use messagekit::{Error, ErrorKind};

use super::{OnSources, RetentionRule, TopicView};

/// What a topic was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefinition {
    /// The number of the topic in its database, 0 before it is made. One that is dropped and made again has another number.
    pub id: i64,
    /// Its name.
    pub name: Arc<str>,
    /// The JSON Schema of its records, or `None` for any object.
    pub schema: Option<String>,
    /// The shape of that schema, as `messagekit-schema` writes it.
    pub shape: Option<String>,
    /// The fields that no two records may have in common, sorted; empty for a topic that takes everything.
    pub dedup: Vec<String>,
    /// The field that is the key of a record, if any.
    pub key: Option<String>,
    /// The number of its partitions, at least 1.
    pub partitions: u32,
    /// How often it was migrated.
    pub version: u32,
    /// How long it keeps its records, or `None` for ever.
    pub retention: Option<RetentionRule>,
    /// Its events also go to a broker, by the publishing mode of the database.
    pub is_published: bool,
}

impl TopicDefinition {
    /// Returns the JSON Schema of its records, if it has one.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if what is stored is no JSON.
    pub fn json_schema(&self) -> Result<Option<serde_json::Value>, Error> {
        let read = |text: &String| {
            serde_json::from_str(text).map_err(|error| {
                let text = "stored schema cannot be read";
                Error::new(ErrorKind::Corrupt, text).with("topic", &self.name).caused_by(error)
            })
        };
        self.schema.as_ref().map(read).transpose()
    }
}

/// The definitions of typed topics, and what becomes of a topic as a whole: its schema, retention, end and views.
pub trait TopicDefinitions: Store {
    /// Defines a topic, and returns `None`; or returns the definition that the topic has already, unchanged.
    ///
    /// Records that were appended before get ids now, in the order of their partitions.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn define_topic(
        &self,
        definition: &TopicDefinition,
    ) -> impl Future<Output = Result<Option<TopicDefinition>, Error>> + Send;

    /// Returns the definition of a topic, or `None` for one that was not defined.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn topic_definition(
        &self,
        topic: &Arc<str>,
    ) -> impl Future<Output = Result<Option<TopicDefinition>, Error>> + Send;

    /// Returns the definitions of all topics, sorted by name.
    ///
    /// # Errors
    /// As [`topic_definition`](Self::topic_definition).
    fn topic_definitions(&self) -> impl Future<Output = Result<Vec<TopicDefinition>, Error>> + Send;

    /// Replaces the schema of a topic whose schema is still `from`, and returns whether it was.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn replace_schema(
        &self,
        from: &TopicDefinition,
        to: &TopicDefinition,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Sets how long a topic keeps its records. Nothing is deleted by the call itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that was not defined. A transient error if the database does
    /// not answer: retry.
    fn set_retention(
        &self,
        topic: &Arc<str>,
        retention: Option<RetentionRule>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes some records that the topic no longer keeps, in a short transaction, and returns how many; 0 when there are no more.
    ///
    /// An append to a topic deletes, too: at most some more records than it appends. Records that a relay has not published yet stay.
    ///
    /// # Errors
    /// As [`set_retention`](Self::set_retention).
    fn expire(&self, topic: &Arc<str>) -> impl Future<Output = Result<u64, Error>> + Send;

    /// As [`expire`](Self::expire), whatever the topic keeps: deletes some of its records.
    ///
    /// # Errors
    /// As [`set_retention`](Self::set_retention).
    fn clear_topic(&self, topic: &Arc<str>) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Drops a topic, in a short transaction: from then on no call finds it, its claims are lost, and its name is free.
    /// [`clear_dropped`](Self::clear_dropped) deletes its remaining rows. Its failed messages stay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that was not defined.
    /// [`ErrorKind::WrongState`](messagekit::ErrorKind::WrongState) while tables feed the topic, unless they are dropped, too, and while an event
    /// of it is only here and not published yet. [`ErrorKind::Conflict`](messagekit::ErrorKind::Conflict) while an open transaction holds
    /// the topic: retry. A transient error if the database does not answer: retry.
    fn drop_topic(
        &self,
        topic: &Arc<str>,
        on_sources: OnSources,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes some rows that dropped topics have left, in a short transaction, and returns how many; 0 when there are no more. A call that
    /// was lost has deleted a part, and another process may continue.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn clear_dropped(&self) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Returns the rows of a view, as of one moment: a value for each of its [columns](TopicView::columns), sorted by the first three of
    /// them. It reads no record, however many there are.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a view that this adapter does not know. A transient error if the database
    /// does not answer: retry.
    fn view_rows(
        &self,
        view: TopicView,
    ) -> impl Future<Output = Result<Vec<Vec<serde_json::Value>>, Error>> + Send;
}
