//! One open topic.

use std::sync::Arc;

use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::AppendedRecord;
use messagekit_topics::{Error, parse_json};
use pyo3::prelude::*;
use serde_json::value::RawValue;

use super::function::{Answer, call};
use super::records::{Records, Row, row};
use super::retention::{Rule, rule_of};
use super::schema::parsed;
use super::wait;

/// One open topic.
#[pyclass(module = "messagekit_rs._native", frozen)]
pub(crate) struct Topic {
    pub(crate) topic: messagekit_topics::Topic<Box<RawValue>, SqliteStore>,
}

#[pymethods]
impl Topic {
    /// Appends records of JSON text in one transaction, and returns their ids. One duplicate refuses all.
    fn extend(&self, py: Python<'_>, records: Vec<String>) -> PyResult<Vec<i64>> {
        wait(py, async {
            let values = records.iter().map(|text| parse_json(text)).collect::<Result<Vec<_>, Error>>()?;
            self.topic.extend(&values).await
        })
    }

    /// Appends those records that the topic does not have, and returns for each whether it was new, and the id.
    fn extend_if_new(&self, py: Python<'_>, records: Vec<String>) -> PyResult<Vec<(bool, i64)>> {
        let outcomes = wait(py, async {
            let values = records.iter().map(|text| parse_json(text)).collect::<Result<Vec<_>, Error>>()?;
            self.topic.extend_if_new(&values).await
        })?;
        let outcome = |outcome| match outcome {
            AppendedRecord::Appended(id) => (true, id),
            AppendedRecord::Duplicate(id) => (false, id),
        };
        Ok(outcomes.into_iter().map(outcome).collect())
    }

    /// Begins to read the records of a status: `new`, `handled` or `all`; `follow` waits for new ones without an end.
    fn read(&self, status: &str) -> Records {
        match status {
            "new" => Records::of(self.topic.iter_new()),
            "handled" => Records::of(self.topic.iter_handled()),
            "follow" => Records::of(self.topic.follow()),
            _ => Records::of(self.topic.iter_all()),
        }
    }

    /// Returns the record with an id, or nothing if the topic has none.
    fn get(&self, py: Python<'_>, id: i64) -> PyResult<Option<Row>> {
        Ok(wait(py, self.topic.get(id))?.map(row))
    }

    /// Notes that a record was handled.
    fn set_handled(&self, py: Python<'_>, id: i64) -> PyResult<()> {
        wait(py, self.topic.set_handled(id))
    }

    /// Returns how many records there are: all, new, handled, dead; and how many expired before they were handled.
    fn count(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64)> {
        let counts = wait(py, self.topic.count())?;
        Ok((counts.all, counts.new, counts.handled, counts.dead, counts.expired))
    }

    /// Sets how long records are kept; for ever without a rule.
    fn set_retention(&self, py: Python<'_>, rule: Option<Rule>) -> PyResult<()> {
        wait(py, self.topic.set_retention(rule.map(rule_of)))
    }

    /// Deletes what is no longer kept, and returns how many records that were.
    fn expire(&self, py: Python<'_>) -> PyResult<u64> {
        wait(py, self.topic.expire())
    }

    /// Returns the topic as another consumer sees it.
    fn named(&self, consumer: String) -> Self {
        Self { topic: self.topic.named(consumer) }
    }

    /// Returns the name of the consumer whose view this is.
    fn consumer(&self) -> &str {
        self.topic.consumer()
    }

    /// Gives every record another form. The function takes (id, JSON text) and answers as that of an arm.
    fn migrate(&self, py: Python<'_>, schema: String, function: Py<PyAny>) -> PyResult<Self> {
        let (topic, function) = (self.topic.clone(), Arc::new(function));
        let topic = wait(py, async move {
            let migration = topic.migrate(move |record: Box<RawValue>| {
                let function = function.clone();
                async move {
                    match call(&function, 0, &record) {
                        Answer::Outputs(mut outputs) => outputs.pop().ok_or_else(|| "no new form".to_owned()),
                        Answer::Failed(text) | Answer::Stopped(text) => Err(text),
                    }
                }
            });
            migration.described(parsed(&schema)?).run().await
        })?;
        Ok(Self { topic })
    }
}
