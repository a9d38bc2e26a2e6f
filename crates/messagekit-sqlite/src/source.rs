//! Topics of a file as a source.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{
    BatchLimit, BoxFuture, Capabilities, IntoSource, NextOffset, Source, TopicList, check_topic,
};
use messagekit::{Error, ErrorKind};

use crate::{SqliteStore, SqliteSubscriber};

/// Topics of a file, not yet bound to a consumer.
#[derive(Clone, Debug)]
#[must_use = "a source does nothing until a consumer reads from it"]
pub struct SqliteSource {
    store: SqliteStore,
    topics: Vec<Arc<str>>,
}

impl SqliteStore {
    /// Names topics of this file to consume from; a missing topic is read from its first record on.
    pub fn topics<T: Into<Arc<str>>>(&self, topics: impl IntoIterator<Item = T>) -> SqliteSource {
        SqliteSource { store: self.clone(), topics: topics.into_iter().map(Into::into).collect() }
    }
}

/// The topics of the events that the consumer's handlers take.
impl IntoSource for SqliteStore {
    type Source = SqliteSource;
    const FOLLOWS_HANDLERS: bool = true;

    fn into_source(self, topics: Vec<&'static str>) -> SqliteSource {
        self.topics(topics)
    }
}

/// One lane over all partitions of all topics: the file has one writer, so more lanes would add commits and no speed.
impl Source for SqliteSource {
    type Subscriber = SqliteSubscriber;

    fn capabilities(&self) -> Capabilities {
        const MESSAGES: NonZeroU32 = NonZeroU32::new(200).expect("200 > 0");
        Capabilities {
            system: "messagekit",
            persistent: true,
            shares_work: false,
            positions: true,
            any_order: false,
            batch: BatchLimit { messages: MESSAGES, time: Duration::from_millis(20) },
        }
    }

    fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    fn topic_list(&self) -> Option<Arc<dyn TopicList>> {
        Some(Arc::new(FileTopics(self.store.clone())))
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<SqliteSubscriber, Error> {
        check_consumer(consumer)?;
        if self.topics.is_empty() {
            return Err(Error::new(ErrorKind::InvalidConfiguration, "source names no topic")
                .with("consumer", consumer));
        }
        let mut topics = self.topics;
        topics.iter().try_for_each(|topic| check_topic(topic))?;
        let mut known = HashSet::new();
        topics.retain(|topic| known.insert(Arc::clone(topic)));
        SqliteSubscriber::start(self.store, Arc::from(consumer), topics, remembered.to_vec())
    }
}

/// The topics that records have been appended to.
struct FileTopics(SqliteStore);

impl TopicList for FileTopics {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let names = self.0.read(|c| {
                let mut select = c.prepare("SELECT name FROM messagekit_topics WHERE partitions > 0")?;
                select.query_map((), |row| row.get(0))?.collect()
            });
            Ok(names.await?)
        })
    }
}

fn check_consumer(name: &str) -> Result<(), Error> {
    if !name.is_empty() && name.len() <= 200 && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidConfiguration,
        "consumer name is not 1 to 200 bytes without control characters, like billing",
    )
    .with("bytes", name.len()))
}
