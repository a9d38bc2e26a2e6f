//! Pipelines whose functions are Python's.

use std::sync::Arc;
use std::time::Duration;

use messagekit::{Error as CoreError, ErrorKind};
use messagekit_sqlite::SqliteStore;
use messagekit_topics::{Error, Pipeline, Strategy, Topics};
use pyo3::prelude::*;

use super::function::{Answer, call};
use super::topic::Topic;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An arm: a source, a function, and a target if it has one.
///
/// The function takes the id of a record and its data as JSON text. It returns a word and a list of texts: `outputs` with JSON,
/// `failed` with a text for operators, or `stopped` with a reason to end the run without a failure.
#[pyclass(module = "messagekit_rs._native", frozen)]
pub(crate) struct Arm {
    source: Py<Topic>,
    function: Arc<Py<PyAny>>,
    target: Option<Py<Topic>>,
}

#[pymethods]
impl Arm {
    #[new]
    fn new(source: Py<Topic>, function: Py<PyAny>, target: Option<Py<Topic>>) -> Self {
        Self { source, function: Arc::new(function), target }
    }
}

impl Arm {
    pub(crate) fn pipeline(&self) -> Pipeline<SqliteStore> {
        let function = self.function.clone();
        let piped = self.source.get().topic.flat_map_records(move |record| {
            let answer = call(&function, record.id, &record.data);
            async move {
                match answer {
                    Answer::Outputs(outputs) => Ok(outputs),
                    Answer::Failed(text) => Err(BoxError::from(text)),
                    Answer::Stopped(text) => {
                        let text = format!("function of the pipeline was stopped: {text}");
                        Err(CoreError::new(ErrorKind::Unavailable, text).into())
                    }
                }
            }
        });
        match &self.target {
            Some(target) => piped.to(&target.get().topic),
            None => piped.to_nothing(),
        }
    }
}

/// The settings of a run, as a dictionary of these keys.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    best_effort: bool,
    dry_run: bool,
    atomic_batch: Option<usize>,
    attempts: Option<u32>,
    timeout: Option<f64>,
}

/// Runs pipelines as one graph.
pub(crate) async fn run(
    topics: &Topics<SqliteStore>,
    pipelines: Vec<Pipeline<SqliteStore>>,
    settings: Settings,
) -> Result<(u64, u64, u64), Error> {
    let strategy = if settings.best_effort { Strategy::BestEffort } else { Strategy::Strict };
    let mut pipeline = topics.full_pipeline(pipelines)?.strategy(strategy);
    if let Some(records) = settings.atomic_batch {
        pipeline = pipeline.atomic_batch(records);
    }
    if let Some(attempts) = settings.attempts {
        pipeline = pipeline.attempts(attempts);
    }
    if let Some(seconds) = settings.timeout {
        let timeout = Duration::try_from_secs_f64(seconds).map_err(|error| {
            CoreError::new(ErrorKind::InvalidConfiguration, "timeout is no number of seconds")
                .caused_by(error)
        })?;
        pipeline = pipeline.timeout(timeout);
    }
    let run = if settings.dry_run { pipeline.dry_run().await? } else { pipeline.run().await? };
    Ok((run.offered, run.handled, run.appended))
}
