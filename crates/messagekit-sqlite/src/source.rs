//! Topics of a file as a source.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{
    BatchLimit, BoxFuture, Capabilities, IntoSource, NextOffset, Source, TopicList, check_topic,
};
use messagekit::{Error, ErrorKind};

use crate::subscriber::Beginning;
use crate::{SqliteStore, SqliteSubscriber};

/// Topics of a file, not yet bound to a consumer.
#[derive(Clone, Debug)]
#[must_use = "a source does nothing until a consumer reads from it"]
pub struct SqliteSource {
    store: SqliteStore,
    topics: Vec<Arc<str>>,
    since: Option<Timestamp>,
}

impl SqliteStore {
    /// Names topics of this file to consume from; a missing topic is read from its first record on.
    pub fn topics<T: Into<Arc<str>>>(&self, topics: impl IntoIterator<Item = T>) -> SqliteSource {
        let topics = topics.into_iter().map(Into::into).collect();
        SqliteSource { store: self.clone(), topics, since: None }
    }
}

impl SqliteSource {
    /// Starts a consumer at the first record that was written at `time` or later, in each partition in which it has no position: a new
    /// consumer skips the past. Where it begins is kept in the file before its first record, so later starts go on from there, whatever
    /// time they name.
    ///
    /// The times are those at which the file got the records; a time to come begins at the end. A fixed time skips nothing that comes
    /// later, whenever a process starts or a partition is added. `Timestamp::now()` is another time at each start: of a partition without a
    /// position it skips what came in between.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use jiff::Timestamp;
    /// use messagekit_sqlite::SqliteStore;
    ///
    /// let store = SqliteStore::temporary().await?;
    /// let deployed: Timestamp = "2026-11-28T06:00:00Z".parse().unwrap();
    /// let orders = store.topics(["orders.order"]).since(deployed);
    /// # drop(orders);
    /// # Ok::<(), messagekit_sqlite::Error>(()) }).unwrap();
    /// ```
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
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
        let beginning = Beginning { remembered: remembered.into(), since: self.since };
        SqliteSubscriber::start(self.store, Arc::from(consumer), topics, beginning)
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
