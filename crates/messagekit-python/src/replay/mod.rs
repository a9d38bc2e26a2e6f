//! Records of topics in the order of their time, as Arrow.

mod opening;
mod start;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::OrderedReader;
use messagekit::{Error, ErrorKind};
use messagekit_arrow::{
    Columns, MESSAGE_SCHEMA, PARTITION_STATE_SCHEMA, SchemaRef, batch, partition_state_batch,
};
use messagekit_sqlite::SqliteStore;
use pyo3::prelude::*;
use pyo3_arrow::{PyRecordBatch, PySchema};
use tokio::sync::Mutex;

use self::opening::Settings;
use crate::calls::answer;
use crate::errors::of_log;

/// What is open: the reader, and the file that it reads.
struct Open {
    reader: OrderedReader,
    file: Option<SqliteStore>,
}

/// An ordered reader. One thread at a time uses it; others wait, without the interpreter.
#[pyclass(module = "messagekit_rs._native", frozen)]
pub(crate) struct Replay {
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
    columns: Columns,
}

#[pymethods]
impl Replay {
    /// Opens topics of Kafka by properties of librdkafka.
    #[cfg(feature = "kafka")]
    #[staticmethod]
    fn kafka(py: Python<'_>, properties: HashMap<String, String>, settings: Settings) -> PyResult<Self> {
        let columns = settings.columns();
        let opened = answer(py, async move {
            let log = opening::kafka(properties)?;
            Ok(Open { reader: settings.open(log).await?, file: None })
        })?;
        Self::new(opened, columns)
    }

    /// Opens topics of a file, which has to be there.
    #[staticmethod]
    fn file(py: Python<'_>, path: PathBuf, settings: Settings) -> PyResult<Self> {
        let columns = settings.columns();
        let opened = answer(py, async move {
            let file = opening::file(path).await?;
            let opened = settings.open(std::sync::Arc::new(file.clone())).await;
            match opened {
                Ok(reader) => Ok(Open { reader, file: Some(file) }),
                Err(error) => {
                    // The error of the reader is the one to know.
                    let _ = file.close().await;
                    Err(error)
                }
            }
        })?;
        Self::new(opened, columns)
    }

    /// Returns the next records, at most a batch, and none if none can be released within the time.
    fn poll<'py>(&self, py: Python<'py>, timeout_ms: u64) -> PyResult<Bound<'py, PyAny>> {
        let timeout = Duration::from_millis(timeout_ms);
        let read = answer(py, async {
            let mut open = self.open.lock().await;
            let reader = &mut open.as_mut().ok_or_else(closed)?.reader;
            batch(&reader.poll(timeout).await?, self.columns)
        })?;
        PyRecordBatch::new(read.map_err(of_log)?).into_pyarrow(py)
    }

    /// Returns how far each partition is.
    fn partition_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let states = self.ask(py, |reader| partition_state_batch(&reader.partition_state()))?;
        PyRecordBatch::new(states.map_err(of_log)?).into_pyarrow(py)
    }

    fn is_live(&self, py: Python<'_>) -> PyResult<bool> {
        self.ask(py, |reader| reader.is_live())
    }

    fn held_message_count(&self, py: Python<'_>) -> PyResult<usize> {
        self.ask(py, |reader| reader.held_message_count())
    }

    fn paused_partition_count(&self, py: Python<'_>) -> PyResult<usize> {
        self.ask(py, |reader| reader.paused_partition_count())
    }

    /// Returns the time up to which all records of the past are known, in milliseconds.
    fn priming_watermark(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        self.ask(py, |reader| reader.get_priming_watermark().map(Timestamp::as_millisecond))
    }

    /// Returns the numbers of records that were read, released, late, ahead of the clock, and deleted before they were read, and of pauses.
    fn counts(&self, py: Python<'_>) -> PyResult<HashMap<&'static str, u64>> {
        self.ask(py, |reader| {
            let counts = reader.counts();
            HashMap::from([
                ("consumed", counts.consumed),
                ("released", counts.released),
                ("late", counts.late),
                ("ahead", counts.ahead),
                ("paused", counts.paused),
                ("deleted", reader.deleted()),
            ])
        })
    }

    /// Ends reading. What is closed may be closed again.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = answer(py, async {
            match self.open.lock().await.take().and_then(|Open { reader, file }| {
                drop(reader);
                file
            }) {
                Some(file) => file.close().await,
                None => Ok(()),
            }
        })?;
        closed.map_err(|error| of_log(error.into()))
    }
}

impl Replay {
    fn new(opened: Result<Open, Error>, columns: Columns) -> PyResult<Self> {
        Ok(Self { open: Mutex::new(Some(opened.map_err(of_log)?)), columns })
    }

    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&mut OrderedReader) -> T + Send,
    ) -> PyResult<T> {
        let answer = answer(py, async {
            let mut open = self.open.lock().await;
            open.as_mut().map(|open| question(&mut open.reader)).ok_or_else(closed)
        })?;
        answer.map_err(of_log)
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "reader is closed")
}

/// Returns the schema of the records that a reader returns unless it is asked for more columns.
#[pyfunction]
pub(crate) fn message_schema(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    schema(py, &MESSAGE_SCHEMA)
}

/// Returns the schema of the states of partitions.
#[pyfunction]
pub(crate) fn partition_state_schema(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    schema(py, &PARTITION_STATE_SCHEMA)
}

fn schema<'py>(py: Python<'py>, schema: &SchemaRef) -> PyResult<Bound<'py, PyAny>> {
    PySchema::new(schema.clone()).into_pyarrow(py)
}
