//! Reading records.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use futures_util::{Stream, StreamExt};
use messagekit_topics::{Error, Record, RecordStatus};
use pyo3::prelude::*;
use serde_json::value::RawValue;

use super::wait;

/// A record: id, partition, offset, microseconds of its append and of its handling, status, hashes, and its data as JSON text.
pub(crate) type Row = (i64, i32, i64, i64, Option<i64>, &'static str, String, Option<String>, String);

type Reading = Pin<Box<dyn Stream<Item = Result<Record<Box<RawValue>>, Error>> + Send>>;

/// An iteration over records, some at a time.
#[pyclass(module = "messagekit_rs._native", frozen)]
pub(crate) struct Records {
    /// Taken while it is read, and after its end.
    reading: Mutex<Option<Reading>>,
}

impl Records {
    pub(crate) fn of(
        reading: impl Stream<Item = Result<Record<Box<RawValue>>, Error>> + Send + 'static,
    ) -> Self {
        Self { reading: Mutex::new(Some(Box::pin(reading))) }
    }
}

#[pymethods]
impl Records {
    /// Returns the next records, at most as many as asked for; none at the end.
    fn next_rows(&self, py: Python<'_>, max: usize) -> PyResult<Vec<Row>> {
        let taken = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut reading) = taken else { return Ok(Vec::new()) };
        let (rows, reading) = wait(py, async move {
            let mut rows = Vec::with_capacity(max);
            while rows.len() < max {
                match reading.next().await {
                    Some(record) => rows.push(row(record?)),
                    None => return Ok((rows, None)),
                }
            }
            Ok((rows, Some(reading)))
        })?;
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = reading;
        Ok(rows)
    }
}

pub(crate) fn row(record: Record<Box<RawValue>>) -> Row {
    let status = match record.status {
        RecordStatus::New => "new",
        RecordStatus::Handled => "handled",
        RecordStatus::Dead => "dead",
    };
    (
        record.id,
        record.partition,
        record.offset,
        record.created_at.as_microsecond(),
        record.handled_at.map(|at| at.as_microsecond()),
        status,
        record.payload_hash,
        record.dedup_hash,
        record.data.get().to_owned(),
    )
}
