//! A topic at a glance, as programs print it.

use messagekit_topic_store::{RecordCounts, RetentionRule, TopicDefinition, TopicStore};
use serde::Serialize;

use crate::topic::DEFAULT;
use crate::{Error, Topics};

/// The rules of a topic and the numbers of its records, as one consumer sees them: one JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TopicStatus {
    /// Its name.
    pub topic: String,
    /// The number of its partitions.
    pub partitions: u32,
    /// The fields that no two records may have in common, sorted.
    pub dedup: Vec<String>,
    /// The field that is the key of a record, if any.
    pub key: Option<String>,
    /// How often it was migrated.
    pub version: u32,
    /// How long it keeps its records, or `None` for ever.
    pub retention: Option<RetentionRule>,
    /// The consumer whose view the numbers are.
    pub consumer: String,
    /// The numbers.
    #[serde(flatten)]
    pub records: RecordCounts,
}

impl<S: TopicStore> Topics<S> {
    /// Returns a topic at a glance, as a consumer sees it; `default` if none is named.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that was not defined. A transient error if the file is
    /// busy: retry.
    pub async fn status(
        &self,
        definition: &TopicDefinition,
        consumer: Option<&str>,
    ) -> Result<TopicStatus, Error> {
        let consumer = consumer.unwrap_or(DEFAULT);
        let records = self.store().count_records(consumer, &definition.name).await?;
        Ok(TopicStatus {
            topic: definition.name.to_string(),
            partitions: definition.partitions,
            dedup: definition.dedup.clone(),
            key: definition.key.clone(),
            version: definition.version,
            retention: definition.retention,
            consumer: consumer.to_owned(),
            records,
        })
    }
}
