//! Reading a topic.

use std::collections::{HashMap, VecDeque};

use futures_util::stream::try_unfold;
use futures_util::{Stream, StreamExt};
use messagekit::adapter::codec;
use messagekit::{Backoff, Error as CoreError, ErrorKind, Position};
use messagekit_schema::canonical::{self, Json};
use messagekit_topic_store::CommitWatch;
use messagekit_topic_store::{
    RecordPage, RecordQuery, RecordStatus, TopicRecord, TopicStore, topic_was_dropped, topic_was_migrated,
};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::record::dedup_hash;
use crate::{Error, Record, Topic};

/// The most records that are read at once. More of them would hold memory while the first is handled.
const PAGE: u32 = 256;

/// How far a stream of records is.
#[derive(Default)]
struct Reading {
    page: VecDeque<TopicRecord>,
    after: i64,
    watch: Option<Box<dyn CommitWatch>>,
    /// How many lost records the observers were told of.
    overtaken: Option<u64>,
    /// How often the database has failed since it last answered.
    outages: u32,
    /// The offset behind the last record that was yielded, of each partition.
    next: HashMap<i32, i64>,
}

impl Reading {
    fn passed(&mut self, record: &TopicRecord) {
        self.after = record.id;
        let Position { partition, offset, .. } = record.record.position;
        self.next.insert(partition, offset + 1);
    }

    /// Begins again in a log that has lost records that were yielded: the ids of the next ones are among those that were passed.
    fn begins_again(&mut self, ends: &[(i32, i64)]) -> bool {
        let is_behind =
            |(partition, end): &(i32, i64)| self.next.get(partition).is_some_and(|next| next > end);
        if !ends.iter().any(is_behind) {
            return false;
        }
        self.after = 0;
        self.next.clear();
        true
    }
}

/// What a stream of records does when it has yielded all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtTheEnd {
    Stop,
    Wait,
}

impl<T: DeserializeOwned, S: TopicStore> Topic<T, S> {
    /// Yields the consumer's new records in the order of their ids, also those that are appended meanwhile. Records that are not
    /// acknowledged come again in the next iteration, not in this one.
    ///
    /// A record that does not have the type is yielded as an error of [`ErrorKind::Undecodable`] with its id as the value `record`. The stream
    /// goes on behind it: [`give_up`](Self::give_up) keeps it for operators. Any other error ends the stream, such as
    /// [`ErrorKind::SchemaMismatch`] if the topic was migrated meanwhile.
    pub fn iter_new(&self) -> impl Stream<Item = Result<Record<T>, Error>> + Send + Unpin + 'static
    where
        T: Send + 'static,
    {
        self.records(Some(RecordStatus::New), AtTheEnd::Stop)
    }

    /// Yields the consumer's new records as [`iter_new`](Self::iter_new) does, and then waits for those that any process appends, and for a
    /// database that does not answer, with a warning in the log. It ends only with an error of another kind than
    /// [`ErrorKind::Unavailable`], such as [`ErrorKind::Closed`] when the file is closed. When the database was restored to an earlier time, it begins again with what is new there.
    ///
    /// A record is yielded about a millisecond after its commit has returned, also when another process has appended it.
    pub fn follow(&self) -> impl Stream<Item = Result<Record<T>, Error>> + Send + Unpin + 'static
    where
        T: Send + 'static,
    {
        self.records(Some(RecordStatus::New), AtTheEnd::Wait)
    }

    /// Yields the records that the consumer has handled, in the order of their ids.
    pub fn iter_handled(&self) -> impl Stream<Item = Result<Record<T>, Error>> + Send + Unpin + 'static
    where
        T: Send + 'static,
    {
        self.records(Some(RecordStatus::Handled), AtTheEnd::Stop)
    }

    /// Yields all records, in the order of their ids.
    pub fn iter_all(&self) -> impl Stream<Item = Result<Record<T>, Error>> + Send + Unpin + 'static
    where
        T: Send + 'static,
    {
        self.records(None, AtTheEnd::Stop)
    }

    /// Returns the record with this id, or `None` if the topic has none.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] for a record that does not have the type. A transient error if the file is busy: retry.
    pub async fn get(&self, id: i64) -> Result<Option<Record<T>>, Error> {
        match self.stored(id).await? {
            Some(record) => self.typed_now(&record).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the record with this id as the log has it, also one that does not have the type, or `None` if the topic has none.
    ///
    /// # Errors
    /// A transient error if the file is busy: retry.
    pub async fn stored(&self, id: i64) -> Result<Option<TopicRecord>, Error> {
        let mut page = self.read(None, id.saturating_sub(1), 1).await?.records;
        Ok(page.pop().filter(|record| record.id == id))
    }

    fn records(
        &self,
        status: Option<RecordStatus>,
        at_the_end: AtTheEnd,
    ) -> impl Stream<Item = Result<Record<T>, Error>> + Send + Unpin + 'static
    where
        T: Send + 'static,
    {
        let start = (self.clone(), Reading::default());
        let records = try_unfold(start, move |(topic, mut reading)| async move {
            // Made before the first look: a commit in between is not missed.
            if at_the_end == AtTheEnd::Wait && reading.watch.is_none() {
                reading.watch = Some(topic.shared.store.watch_records()?);
            }
            loop {
                if let Some(next) = reading.page.pop_front() {
                    reading.passed(&next);
                    let record = match topic.typed_now(&next).await {
                        Err(error) if error.kind() != ErrorKind::Undecodable => return Err(error),
                        record => record,
                    };
                    return Ok(Some((record, (topic, reading))));
                }
                let page = match topic.read(status, reading.after, PAGE).await {
                    Err(error) if error.kind() == ErrorKind::Unavailable && at_the_end == AtTheEnd::Wait => {
                        reading.outages += 1;
                        let wait = Backoff::OUTAGE.delay(reading.outages);
                        tracing::warn!(topic = &*topic.rules.name, %error, ?wait, "records cannot be read: trying again");
                        sleep(wait).await;
                        continue;
                    }
                    page => page?,
                };
                reading.outages = 0;
                if reading.begins_again(&page.ends) {
                    tracing::warn!(
                        topic = &*topic.rules.name,
                        "topic has lost records that were read: reading it again"
                    );
                    continue;
                }
                let told = &mut reading.overtaken;
                topic.shared.notify_overtaken(&topic.rules.name, &topic.consumer, page.overtaken, told);
                reading.page = page.records.into();
                match &mut reading.watch {
                    _ if !reading.page.is_empty() => {}
                    Some(watch) => watch.changed().await?,
                    None => return Ok(None),
                }
            }
        });
        Box::pin(records.map(|record| record.and_then(|record| record)))
    }

    pub(crate) async fn read(
        &self,
        status: Option<RecordStatus>,
        after: i64,
        max: u32,
    ) -> Result<RecordPage, Error> {
        let (consumer, topic) = (self.consumer.clone(), self.rules.name.clone());
        let query = RecordQuery { consumer, topic, status, after, max };
        Ok(self.shared.store.read_records(&query).await?)
    }

    /// Decodes a record. A record that does not have the type may be of a topic that was migrated meanwhile.
    async fn typed_now(&self, found: &TopicRecord) -> Result<Record<T>, Error> {
        match self.typed(found) {
            Err(error) if error.kind() == ErrorKind::Undecodable => {
                let stored = self.shared.store.topic_definition(&self.rules.name).await?;
                let Some(stored) = stored else { return Err(error) };
                Err(if stored.id != self.rules.id {
                    topic_was_dropped(&self.rules.name).into()
                } else if stored.version != self.rules.version {
                    topic_was_migrated(&self.rules.name).into()
                } else {
                    error
                })
            }
            decoded => decoded,
        }
    }

    pub(crate) fn typed(&self, found: &TopicRecord) -> Result<Record<T>, Error> {
        let undecodable = |error: serde_json::Error| {
            CoreError::new(ErrorKind::Undecodable, "record does not have the type of the topic")
                .with("topic", &self.rules.name)
                .with("record", found.id)
                .caused_by(error)
        };
        let payload = codec::data_of(&found.record.message)
            .map_err(|error| error.with("topic", &self.rules.name).with("record", found.id))?;
        let value = Json::read(&payload).map_err(undecodable)?;
        // The payload of an event may have line breaks between its tokens.
        let text = value.text();
        let (payload_hash, dedup_hash) = (canonical::hash_of(&text), dedup_hash(&self.rules.dedup, &value));
        let data = serde_json::from_str(&text).map_err(undecodable)?;
        let position = &found.record.position;
        Ok(Record {
            id: found.id,
            topic: self.rules.name.to_string(),
            partition: position.partition,
            offset: position.offset,
            created_at: found.record.stored_at(),
            handled_at: found.handled_at,
            status: found.status,
            payload_hash,
            dedup_hash,
            data,
        })
    }
}
