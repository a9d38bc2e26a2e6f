//! A typed topic: appending, reading, acknowledging.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use messagekit::log::{
    AppendedRecord, CommitWatch, NewRecord, OnDuplicate, RecordCounts, RecordQuery, RecordStatus,
    TopicRecord, TopicStore,
};
use messagekit::schema::canonical;
use messagekit::{Error as CoreError, ErrorKind, Message, MessageId, headers};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kept::Kept;
use crate::record::dedup_hash;
use crate::{Duplicate, Error, Record};

/// The consumer whose view a topic has when none is named.
const DEFAULT: &str = "default";
/// The most records that are read at once. More of them would hold memory while the first is handled.
const PAGE: u32 = 256;
/// The content type of a record.
const JSON: &str = "application/json";

/// An open topic. A clone is another handle.
pub struct Topic<T, S> {
    store: S,
    file: Option<Kept>,
    name: Arc<str>,
    consumer: Arc<str>,
    dedup: Arc<[String]>,
    key: Option<Arc<str>>,
    data: PhantomData<fn() -> T>,
}

/// What a stream of records does when it has yielded all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtTheEnd {
    Stop,
    Wait,
}

/// What became of a record that is appended only if its topic does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfNew {
    /// It was appended under this id.
    Appended(i64),
    /// The topic has this record with the same dedup fields.
    Duplicate(i64),
}

impl<T, S: TopicStore> Topic<T, S> {
    pub(crate) fn new(
        store: S,
        file: Option<Kept>,
        name: Arc<str>,
        dedup: Vec<String>,
        key: Option<String>,
    ) -> Self {
        let (dedup, key) = (dedup.into(), key.map(Arc::from));
        Self { store, file, name, consumer: Arc::from(DEFAULT), dedup, key, data: PhantomData }
    }

    /// Returns the name of the topic.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the topic as another consumer sees it: what is new and handled is its own.
    #[must_use]
    pub fn named(&self, consumer: impl Into<Arc<str>>) -> Self {
        Self { consumer: consumer.into(), ..self.clone() }
    }

    /// Notes that the record was handled, now. A record that was handled before gets the new time.
    ///
    /// # Errors
    /// As [`set_handled`](Self::set_handled).
    pub async fn ack(&self, record: &Record<T>) -> Result<(), Error> {
        self.set_handled(record.id).await
    }

    /// Notes that the record with this id was handled, now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the topic has no such record. [`ErrorKind::WrongState`] if it is an open failed message of the
    /// consumer: retry or discard that. A transient error if the file is busy: retry.
    pub async fn set_handled(&self, id: i64) -> Result<(), Error> {
        Ok(self.store.set_handled_now(&self.consumer, &self.name, id).await?)
    }

    /// As [`set_handled`](Self::set_handled), in the caller's transaction.
    ///
    /// # Errors
    /// As [`set_handled`](Self::set_handled): roll back.
    pub async fn set_handled_in(&self, tx: &mut S::Tx, id: i64) -> Result<(), Error> {
        Ok(self.store.set_handled(tx, &self.consumer, &self.name, id).await?)
    }

    /// Counts the records: all that are kept, and the consumer's new, handled and dead ones.
    ///
    /// # Errors
    /// A transient error if the file is busy: retry.
    pub async fn count(&self) -> Result<RecordCounts, Error> {
        Ok(self.store.count_records(&self.consumer, &self.name).await?)
    }
}

impl<T: Serialize + DeserializeOwned, S: TopicStore> Topic<T, S> {
    /// Appends a record and returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] with [details](Error::duplicate) if the topic has a record with the same dedup fields.
    /// [`ErrorKind::InvalidEvent`] for a value that is no JSON object, and [`ErrorKind::TooLarge`] for one over the limit. A transient
    /// error if the file is busy: retry, with a dedup rule also after an unknown outcome.
    pub async fn append(&self, data: &T) -> Result<i64, Error> {
        let record = self.record(data)?;
        Ok(self.refusing(vec![record]).await?[0])
    }

    /// Appends a record unless the topic has one with the same dedup fields.
    ///
    /// # Errors
    /// As [`append`](Self::append), without the first.
    pub async fn append_if_new(&self, data: &T) -> Result<IfNew, Error> {
        let record = self.record(data)?;
        Ok(self.skipping(vec![record]).await?[0])
    }

    /// Appends all records in one transaction, and returns their ids.
    ///
    /// # Errors
    /// As [`append`](Self::append): nothing was appended.
    pub async fn extend<'a>(&self, data: impl IntoIterator<Item = &'a T>) -> Result<Vec<i64>, Error>
    where
        T: 'a,
    {
        let records = data.into_iter().map(|data| self.record(data)).collect::<Result<Vec<_>, Error>>()?;
        self.refusing(records).await
    }

    /// Appends those records in one transaction that the topic does not have, and returns what became of each.
    ///
    /// # Errors
    /// As [`append_if_new`](Self::append_if_new): nothing was appended.
    pub async fn extend_if_new<'a>(&self, data: impl IntoIterator<Item = &'a T>) -> Result<Vec<IfNew>, Error>
    where
        T: 'a,
    {
        let records = data.into_iter().map(|data| self.record(data)).collect::<Result<Vec<_>, Error>>()?;
        self.skipping(records).await
    }

    /// Appends a record in the caller's transaction, which may write rows of its own.
    ///
    /// # Errors
    /// As [`append`](Self::append). A duplicate has written nothing, and the transaction can go on.
    pub async fn append_in(&self, tx: &mut S::Tx, data: &T) -> Result<i64, Error> {
        let record = self.record(data)?;
        let answers = self.store.append_records(tx, &[record], OnDuplicate::Refuse).await?;
        Ok(self.appended(&answers)?[0])
    }

    /// Yields the consumer's new records in the order of their ids, also those that are appended meanwhile. Records that are not
    /// acknowledged come again in the next iteration, not in this one.
    ///
    /// The stream fails with [`ErrorKind::Undecodable`] for a record that does not have the type, and ends.
    pub fn iter_new(&self) -> impl Stream<Item = Result<Record<T>, Error>> + Send + Unpin + 'static
    where
        T: Send + 'static,
    {
        self.records(Some(RecordStatus::New), AtTheEnd::Stop)
    }

    /// Yields the consumer's new records as [`iter_new`](Self::iter_new) does, and then waits for those that any process appends. It
    /// ends only with an error, and with [`ErrorKind::Closed`] when the file is closed.
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

    fn records(
        &self,
        status: Option<RecordStatus>,
        at_the_end: AtTheEnd,
    ) -> impl Stream<Item = Result<Record<T>, Error>> + Send + Unpin + 'static
    where
        T: Send + 'static,
    {
        let start = (self.clone(), VecDeque::<TopicRecord>::new(), 0_i64, None::<Box<dyn CommitWatch>>);
        Box::pin(try_unfold(start, move |(topic, mut page, after, mut watch)| async move {
            // Made before the first look: a commit in between is not missed.
            if at_the_end == AtTheEnd::Wait && watch.is_none() {
                watch = Some(topic.store.watch_commits()?);
            }
            loop {
                if let Some(next) = page.pop_front() {
                    let id = next.id;
                    return Ok(Some((topic.typed(next)?, (topic, page, id, watch))));
                }
                page = topic.page(status, after).await?;
                match &mut watch {
                    _ if !page.is_empty() => {}
                    Some(watch) => watch.changed().await?,
                    None => return Ok(None),
                }
            }
        }))
    }

    async fn page(&self, status: Option<RecordStatus>, after: i64) -> Result<VecDeque<TopicRecord>, Error> {
        let (consumer, topic) = (self.consumer.clone(), self.name.clone());
        let query = RecordQuery { consumer, topic, status, after, max: PAGE };
        Ok(self.store.read_records(&query).await?.into())
    }

    fn typed(&self, found: TopicRecord) -> Result<Record<T>, Error> {
        let undecodable = |error: serde_json::Error| {
            CoreError::new(ErrorKind::Undecodable, "record does not have the type of the topic")
                .with("topic", &self.name)
                .with("record", found.id)
                .caused_by(error)
        };
        let payload = &found.record.message.payload;
        let value: Value = serde_json::from_slice(payload).map_err(undecodable)?;
        let (payload_hash, dedup_hash) = (canonical::hash(&value), dedup_hash(&self.dedup, &value));
        let data = serde_json::from_value(value).map_err(undecodable)?;
        let position = &found.record.position;
        Ok(Record {
            id: found.id,
            topic: self.name.to_string(),
            partition: position.partition,
            offset: position.offset,
            created_at: found.record.timestamp,
            handled_at: found.handled_at,
            status: found.status,
            payload_hash,
            dedup_hash,
            data,
        })
    }

    /// Returns the record of a value.
    fn record(&self, data: &T) -> Result<NewRecord, Error> {
        let refused =
            |text: &'static str| CoreError::new(ErrorKind::InvalidEvent, text).with("topic", &self.name);
        let value = serde_json::to_value(data)
            .map_err(|error| refused("value cannot be written as JSON").caused_by(error))?;
        if !value.is_object() {
            return Err(refused("record is no JSON object").into());
        }
        let mut message = Message::new(self.name.clone(), canonical::text(&value))
            .with_header(headers::ID, MessageId::new().as_str().to_owned())
            .with_header(headers::CONTENT_TYPE, JSON);
        if let Some(field) = &self.key {
            match value.get(&**field) {
                None | Some(Value::Null) => {}
                Some(Value::String(key)) => message = message.with_key(key.clone()),
                Some(other) => message = message.with_key(canonical::text(other)),
            }
        }
        Ok(NewRecord { message, dedup_hash: dedup_hash(&self.dedup, &value) })
    }

    async fn refusing(&self, records: Vec<NewRecord>) -> Result<Vec<i64>, Error> {
        let answers = self.store.append_now(records, OnDuplicate::Refuse).await?;
        self.appended(&answers)
    }

    async fn skipping(&self, records: Vec<NewRecord>) -> Result<Vec<IfNew>, Error> {
        let answers = self.store.append_now(records, OnDuplicate::Skip).await?;
        let outcome = |answer| match answer {
            AppendedRecord::Appended(id) => IfNew::Appended(id),
            AppendedRecord::Duplicate(id) => IfNew::Duplicate(id),
        };
        Ok(answers.into_iter().map(outcome).collect())
    }

    /// Returns the ids of appended records, or the duplicate among them.
    fn appended(&self, answers: &[AppendedRecord]) -> Result<Vec<i64>, Error> {
        let id = |answer: &AppendedRecord| match answer {
            AppendedRecord::Appended(id) => Ok(*id),
            AppendedRecord::Duplicate(existing) => {
                Err(Error::of_duplicate(Duplicate { topic: self.name.to_string(), existing: *existing }))
            }
        };
        answers.iter().map(id).collect()
    }
}

impl<T, S: Clone> Clone for Topic<T, S> {
    fn clone(&self) -> Self {
        let Self { store, file, name, consumer, dedup, key, .. } = self;
        Self {
            store: store.clone(),
            file: file.clone(),
            name: name.clone(),
            consumer: consumer.clone(),
            dedup: dedup.clone(),
            key: key.clone(),
            data: PhantomData,
        }
    }
}

impl<T, S> fmt::Debug for Topic<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}
