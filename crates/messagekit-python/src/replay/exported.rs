//! Batches for pyarrow, without a copy.
//!
//! Both sides share the memory by the interface of Arrow for C, in the capsules of its protocol for Python:
//! <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>.

use std::ffi::CStr;

use arrow_array::ffi::to_ffi;
use arrow_array::{Array, StructArray};
use messagekit_arrow::RecordBatch;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

pub(super) const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

/// A batch that pyarrow takes.
#[pyclass(frozen)]
pub(super) struct ExportedBatch(RecordBatch);

#[pymethods]
impl ExportedBatch {
    /// A schema that is asked for is a wish, which the protocol allows to leave.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        let _ = requested_schema;
        let columns = StructArray::from(self.0.clone());
        let (array, schema) = to_ffi(&columns.to_data()).map_err(unfit)?;
        Ok((PyCapsule::new_with_value(py, schema, SCHEMA)?, PyCapsule::new_with_value(py, array, ARRAY)?))
    }
}

/// Returns a `pyarrow.RecordBatch`.
pub(super) fn record_batch(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyAny>> {
    py.import("pyarrow")?.call_method1("record_batch", (ExportedBatch(batch),))
}

pub(super) fn unfit(error: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(format!("columns cannot be shared with pyarrow: {error}"))
}
