//! An open topic: acknowledging and counting.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use messagekit_topic_store::{RecordCounts, RetentionRule, TopicStore};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::rules::Rules;
use crate::shared::Shared;
use crate::{Error, Record, TopicEvent};

/// The consumer whose view a topic has when none is named.
pub(crate) const DEFAULT: &str = "default";

/// How a value is checked before it is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// A reader of the type can read it.
    Type,
    /// It fits the schema of the file.
    Schema,
    /// By the caller, whose types are not Rust's.
    Caller,
}

/// An open topic. A clone is another handle.
pub struct Topic<T, S> {
    pub(crate) shared: Shared<S>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) consumer: Arc<str>,
    pub(crate) checks: Checks,
    data: PhantomData<fn() -> T>,
}

impl<T, S: TopicStore> Topic<T, S> {
    pub(crate) fn new(shared: Shared<S>, rules: Rules, checks: Checks) -> Self {
        let (rules, consumer) = (Arc::new(rules), Arc::from(DEFAULT));
        Self { shared, rules, consumer, checks, data: PhantomData }
    }

    /// Returns the name of the topic.
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// Returns the name of the consumer whose view this is.
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Returns the topic as another consumer sees it: what is new and handled is its own.
    #[must_use]
    pub fn named(&self, consumer: impl Into<Arc<str>>) -> Self {
        Self { consumer: consumer.into(), ..self.clone() }
    }

    /// Returns the topic with its records as JSON. Each appended record is checked against the schema of the file. A `Value` rounds a number that
    /// a 64-bit float cannot hold: [`as_text`](Self::as_text) does not.
    pub fn as_json(&self) -> Topic<Value, S> {
        self.with_values(Checks::Schema)
    }

    /// Returns the topic with its records as JSON text, in which each number has all of its digits. Each appended record is checked against
    /// the schema of the file; in a topic that was opened as [described](crate::Topics::described), the caller checks it.
    pub fn as_text(&self) -> Topic<Box<RawValue>, S> {
        self.with_values(if self.checks == Checks::Caller { Checks::Caller } else { Checks::Schema })
    }

    pub(crate) fn with_values<V>(&self, checks: Checks) -> Topic<V, S> {
        let (shared, rules, consumer) = (self.shared.clone(), self.rules.clone(), self.consumer.clone());
        Topic { shared, rules, consumer, checks, data: PhantomData }
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
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) if the topic has no such record.
    /// [`ErrorKind::WrongState`](messagekit::ErrorKind::WrongState) if it is an open failed message of the consumer: retry or discard
    /// that. A transient error if the file is busy: retry.
    pub async fn set_handled(&self, id: i64) -> Result<(), Error> {
        self.shared.store.set_handled_now(&self.consumer, &self.rules.name, id).await?;
        self.shared.observers.notify(&self.handled(id));
        Ok(())
    }

    /// As [`set_handled`](Self::set_handled), in the caller's transaction.
    ///
    /// # Errors
    /// As [`set_handled`](Self::set_handled): roll back.
    pub async fn set_handled_in(&self, tx: &mut S::Tx, id: i64) -> Result<(), Error> {
        self.shared.store.set_handled(tx, &self.consumer, &self.rules.name, id).await?;
        self.notify_after_commit(tx, self.handled(id)).await
    }

    /// Deletes the records that the topic no longer keeps, in short transactions, and returns how many.
    ///
    /// Appends delete, too: call this for a topic to which nothing is appended.
    ///
    /// # Errors
    /// A transient error if the file is busy: retry.
    ///
    /// # Cancel safety
    /// A dropped call has deleted a part.
    pub async fn expire(&self) -> Result<u64, Error> {
        let mut expired = 0;
        loop {
            match self.shared.store.expire(&self.rules.name).await? {
                0 => return Ok(expired),
                records => expired += records,
            }
        }
    }

    /// Sets how long the topic keeps its records, or `None` for ever.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a rule that keeps nothing. A transient error
    /// if the file is busy: retry.
    pub async fn set_retention(&self, rule: Option<RetentionRule>) -> Result<(), Error> {
        rule.as_ref().map_or(Ok(()), RetentionRule::check)?;
        Ok(self.shared.store.set_retention(&self.rules.name, rule).await?)
    }

    /// Counts the records: all that are kept, and the consumer's new, handled and dead ones.
    ///
    /// # Errors
    /// A transient error if the file is busy: retry.
    pub async fn count(&self) -> Result<RecordCounts, Error> {
        Ok(self.shared.store.count_records(&self.consumer, &self.rules.name).await?)
    }

    fn handled(&self, id: i64) -> TopicEvent {
        TopicEvent::Handled { topic: self.rules.name.clone(), consumer: self.consumer.clone(), id }
    }

    pub(crate) async fn notify_after_commit(&self, tx: &mut S::Tx, event: TopicEvent) -> Result<(), Error> {
        let observers = self.shared.observers.clone();
        if observers.is_empty() {
            return Ok(());
        }
        Ok(self.shared.store.after_commit(tx, Box::new(move || observers.notify(&event))).await?)
    }
}

impl<T, S: Clone> Clone for Topic<T, S> {
    fn clone(&self) -> Self {
        let Self { shared, rules, consumer, checks, .. } = self;
        let (shared, rules, consumer) = (shared.clone(), rules.clone(), consumer.clone());
        Self { shared, rules, consumer, checks: *checks, data: PhantomData }
    }
}

impl<T, S> fmt::Debug for Topic<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.rules.name)
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}
