//! Records of topics in the order of their time, as Arrow.

mod exported;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "kafka")]
mod kafka;
mod opening;
#[cfg(feature = "file")]
mod schemas;
mod shared;
mod start;

#[cfg(feature = "kafka")]
use std::collections::HashMap;
#[cfg(feature = "file")]
use std::path::PathBuf;
#[cfg(feature = "file")]
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::log::OrderedReader;
use messagekit_arrow::{Columns, partition_state_batch};
use pyo3::prelude::*;

use self::opening::Settings;
#[cfg(feature = "file")]
pub(crate) use self::schemas::{message_schema, partition_state_schema};
use self::shared::{Open, Shared};
#[cfg(feature = "file")]
pub(crate) use self::start::is_time_zone;
use crate::calls::answer;
use crate::errors::of_log;

/// An ordered reader, which threads share.
#[cfg_attr(feature = "file", pyclass(module = "messagekit_rs._native", frozen))]
#[cfg_attr(not(feature = "file"), pyclass(module = "messagekit_rs_kafka._native", frozen))]
pub(crate) struct Replay {
    shared: Shared,
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
            let log = kafka::log(properties)?;
            Ok(Open::of(settings.open(log).await?))
        })?;
        Self::new(opened, columns)
    }

    /// Opens topics of a file that has them.
    #[cfg(feature = "file")]
    #[staticmethod]
    fn file(py: Python<'_>, path: PathBuf, settings: Settings) -> PyResult<Self> {
        let columns = settings.columns();
        let opened = answer(py, async move {
            let file = file::open(path).await?;
            match settings.open(Arc::new(file.clone())).await {
                Ok(reader) => Ok(Open::of(reader).and_then_close(async move { Ok(file.close().await?) })),
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
        let poll = self.shared.poll(Duration::from_millis(timeout_ms), self.columns);
        let batch = answer(py, poll)?.map_err(of_log)?;
        let made = exported::record_batch(py, batch.clone()).and_then(|made| {
            // The interpreter would look for signals next, and throw away what this returns.
            py.check_signals()?;
            Ok(made)
        });
        if made.is_err() {
            answer(py, self.shared.give_back(batch))?;
        }
        made
    }

    /// Returns how far each partition is.
    fn partition_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let states = self.ask(py, |reader| partition_state_batch(&reader.partition_state()))?;
        exported::record_batch(py, states.map_err(of_log)?)
    }

    fn is_live(&self, py: Python<'_>) -> PyResult<bool> {
        answer(py, self.shared.is_live())?.map_err(of_log)
    }

    fn held_message_count(&self, py: Python<'_>) -> PyResult<usize> {
        answer(py, self.shared.held())?.map_err(of_log)
    }

    fn paused_partition_count(&self, py: Python<'_>) -> PyResult<usize> {
        self.ask(py, |reader| reader.paused_partition_count())
    }

    /// Returns the time up to which all records of the past are known, in milliseconds.
    fn priming_watermark(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        self.ask(py, |reader| reader.get_priming_watermark().map(Timestamp::as_millisecond))
    }

    /// Returns the numbers of records that were read, released, late, ahead of the clock, and deleted before they were read, and of pauses.
    fn counts(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64, u64)> {
        self.ask(py, |reader| {
            let counts = reader.counts();
            (counts.consumed, counts.released, counts.late, counts.ahead, reader.deleted(), counts.paused)
        })
    }

    /// Ends reading. What is closed may be closed again.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        answer(py, self.shared.close())?.map_err(of_log)
    }
}

impl Replay {
    fn new(opened: Result<Open, Error>, columns: Columns) -> PyResult<Self> {
        Ok(Self { shared: Shared::new(opened.map_err(of_log)?), columns })
    }

    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&mut OrderedReader) -> T + Send,
    ) -> PyResult<T> {
        answer(py, self.shared.ask(question))?.map_err(of_log)
    }
}
