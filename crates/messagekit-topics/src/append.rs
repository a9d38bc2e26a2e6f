//! Appending to a topic.

use messagekit_topic_store::{AppendedRecord, NewRecord, OnDuplicate, TopicStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::topic::Checks;
use crate::{Duplicate, Error, Topic, TopicEvent, parse_json};

impl<T: Serialize + DeserializeOwned, S: TopicStore> Topic<T, S> {
    /// Appends a record and returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`](messagekit::ErrorKind::Duplicate) with [details](Error::duplicate) if the topic has a record with the same dedup fields.
    /// [`ErrorKind::InvalidEvent`](messagekit::ErrorKind::InvalidEvent) for a value that is no JSON object or that no reader of the type could read again, and [`ErrorKind::TooLarge`](messagekit::ErrorKind::TooLarge) for one over the limit. A transient
    /// error if the file is busy: retry, with a dedup rule also after an unknown outcome.
    pub async fn append(&self, data: &T) -> Result<i64, Error> {
        let record = self.record(data)?;
        Ok(self.refusing(vec![record]).await?[0])
    }

    /// Appends a record unless the topic has one with the same dedup fields.
    ///
    /// # Errors
    /// As [`append`](Self::append), without the first.
    pub async fn append_if_new(&self, data: &T) -> Result<AppendedRecord, Error> {
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
    pub async fn extend_if_new<'a>(
        &self,
        data: impl IntoIterator<Item = &'a T>,
    ) -> Result<Vec<AppendedRecord>, Error>
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
        let answers = self.shared.store.append_records(tx, &[record], OnDuplicate::Refuse).await?;
        let id = self.appended(&answers)?[0];
        self.notify_after_commit(tx, TopicEvent::Appended { topic: self.rules.name.clone(), id }).await?;
        Ok(id)
    }

    pub(crate) fn record(&self, data: &T) -> Result<NewRecord, Error> {
        let text = self.rules.text_of(data)?;
        match self.checks {
            Checks::Type => self.rules.check_type::<T>(&text)?,
            Checks::Schema => self.rules.check(&text)?,
            Checks::Caller => {}
        }
        Ok(self.rules.record(&self.rules.read(&text)?)?)
    }
}

impl<T, S: TopicStore> Topic<T, S> {
    /// Appends a record from its JSON text, checked against the schema of the file, and returns its id. A topic without a schema takes
    /// any object.
    ///
    /// # Errors
    /// As [`append`](Self::append). [`ErrorKind::InvalidEvent`](messagekit::ErrorKind::InvalidEvent) also for text that is no JSON, and for a record that does not fit the
    /// schema, with the `field` and the `rule` that it breaks.
    pub async fn append_json(&self, json: &str) -> Result<i64, Error> {
        self.with_values::<Box<RawValue>>(Checks::Schema).append(&parse_json(json)?).await
    }

    async fn refusing(&self, records: Vec<NewRecord>) -> Result<Vec<i64>, Error> {
        let answers = self.shared.store.append_now(records, OnDuplicate::Refuse).await?;
        // The last answer of a refused call is the duplicate, and those before it say what would have been.
        if !matches!(answers.last(), Some(AppendedRecord::Duplicate(_))) {
            self.notify(&answers);
        }
        self.appended(&answers)
    }

    async fn skipping(&self, records: Vec<NewRecord>) -> Result<Vec<AppendedRecord>, Error> {
        let answers = self.shared.store.append_now(records, OnDuplicate::Skip).await?;
        self.notify(&answers);
        Ok(answers)
    }

    /// Returns the ids of appended records, or the duplicate among them.
    fn appended(&self, answers: &[AppendedRecord]) -> Result<Vec<i64>, Error> {
        let id = |answer: &AppendedRecord| match answer {
            AppendedRecord::Appended(id) => Ok(*id),
            AppendedRecord::Duplicate(existing) => {
                self.notify(&[*answer]);
                let topic = self.rules.name.to_string();
                Err(Error::of_duplicate(Duplicate { topic, record: None, existing: *existing }))
            }
        };
        answers.iter().map(id).collect()
    }

    fn notify(&self, answers: &[AppendedRecord]) {
        for answer in answers {
            let topic = self.rules.name.clone();
            self.shared.observers.notify(&match answer {
                AppendedRecord::Appended(id) => TopicEvent::Appended { topic, id: *id },
                AppendedRecord::Duplicate(existing) => TopicEvent::Duplicate { topic, existing: *existing },
            });
        }
    }
}
