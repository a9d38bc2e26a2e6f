//! One open file.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use messagekit_sqlite::SqliteStore;
use messagekit_topics::{Guard, MinikafkaFile, TopicEvent, Topics};
use pyo3::prelude::*;

use super::pipeline::{self, Arm, Settings};
use super::retention::{Rule, rule_of};
use super::schema::parsed;
use super::topic::Topic;
use super::wait;

/// What happened: its name, its topic, and the id of its record, or the number of records that have expired.
type Event = (&'static str, String, i64);

/// The rules of a topic, as a dictionary of these keys.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct TopicRules {
    dedup: Vec<String>,
    key: Option<String>,
    partitions: u32,
    retention: Option<Rule>,
    guard: String,
}

/// One open file.
#[pyclass(module = "messagekit_rs._native", frozen)]
pub(crate) struct Source {
    topics: Topics<SqliteStore>,
    events: Arc<Mutex<Vec<Event>>>,
}

#[pymethods]
impl Source {
    /// Opens a file, and makes it if it is missing. `hears` keeps what happens for `take_events`; `flushes` says whether a commit waits
    /// for the disk.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf, hears: bool, flushes: bool) -> PyResult<Self> {
        let topics = wait(py, async {
            if flushes { Topics::open(path).await } else { Topics::open_unflushed(path).await }
        })?;
        let events = Arc::new(Mutex::new(Vec::new()));
        if hears {
            let writes = events.clone();
            topics.observe(move |event| {
                let mut events = writes.lock().unwrap_or_else(PoisonError::into_inner);
                events.extend(event_of(event));
            });
        }
        Ok(Self { topics, events })
    }

    /// Opens a topic by the schema of its records, or under the rules that it has.
    fn topic(
        &self,
        py: Python<'_>,
        name: String,
        schema: Option<String>,
        rules: TopicRules,
    ) -> PyResult<Topic> {
        let TopicRules { dedup, key, partitions, retention, guard } = rules;
        let guard = match &*guard {
            "compatible" => Guard::Compatible,
            "off" => Guard::Off,
            _ => Guard::Exact,
        };
        let topics = &self.topics;
        let topic = wait(py, async move {
            let mut builder = match schema {
                Some(schema) => topics.described(name, parsed(&schema)?).dedup(dedup),
                None => topics.untyped(name),
            };
            if let Some(key) = key {
                builder = builder.key(key);
            }
            if let Some(partitions) = NonZeroU32::new(partitions) {
                builder = builder.partitions(partitions);
            }
            if let Some(rule) = retention {
                builder = builder.retention(rule_of(rule));
            }
            builder.guard(guard).open().await
        })?;
        Ok(Topic { topic: topic.as_text() })
    }

    /// Runs pipelines as one graph. Returns the numbers of records that were offered, handled and appended.
    fn run(
        &self,
        py: Python<'_>,
        arms: Vec<PyRef<'_, Arm>>,
        settings: Settings,
    ) -> PyResult<(u64, u64, u64)> {
        let pipelines: Vec<_> = arms.iter().map(|arm| arm.pipeline()).collect();
        wait(py, pipeline::run(&self.topics, pipelines, settings))
    }

    /// Returns what has happened since the last call.
    fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes a copy of the file.
    fn backup(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        wait(py, self.topics.backup(path))
    }

    /// Imports a minikafka file. Returns the numbers of its topics and records.
    fn import_minikafka(&self, py: Python<'_>, path: PathBuf) -> PyResult<(usize, usize)> {
        let imported = wait(py, async { self.topics.import_minikafka(&MinikafkaFile::read(path)?).await })?;
        Ok((imported.topics, imported.records))
    }

    /// Finishes what is waiting and closes the file.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.topics.clone().close())
    }
}

fn event_of(event: &TopicEvent) -> Option<Event> {
    Some(match event {
        TopicEvent::Created { topic } => ("topic_created", topic.to_string(), 0),
        TopicEvent::Appended { topic, id } => ("message_appended", topic.to_string(), *id),
        TopicEvent::Duplicate { topic, existing } => ("message_duplicate", topic.to_string(), *existing),
        TopicEvent::Expired { topic, records, .. } => {
            ("records_expired", topic.to_string(), i64::try_from(*records).unwrap_or(i64::MAX))
        }
        TopicEvent::Handled { topic, id, .. } => ("message_handled", topic.to_string(), *id),
        _ => return None,
    })
}
