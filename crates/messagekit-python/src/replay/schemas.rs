//! Schemas for pyarrow.

use arrow_array::ffi::FFI_ArrowSchema;
use messagekit_arrow::{MESSAGE_SCHEMA, PARTITION_STATE_SCHEMA, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::exported::{SCHEMA, unfit};

/// A schema that pyarrow takes.
#[pyclass(frozen)]
pub(super) struct ExportedSchema(SchemaRef);

#[pymethods]
impl ExportedSchema {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(&*self.0).map_err(unfit)?;
        PyCapsule::new_with_value(py, schema, SCHEMA)
    }
}

/// Returns the schema of the records that a reader returns unless it is asked for more columns.
#[pyfunction]
pub(crate) fn message_schema(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    schema(py, MESSAGE_SCHEMA.clone())
}

/// Returns the schema of the states of partitions.
#[pyfunction]
pub(crate) fn partition_state_schema(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    schema(py, PARTITION_STATE_SCHEMA.clone())
}

/// Returns a `pyarrow.Schema`.
fn schema(py: Python<'_>, schema: SchemaRef) -> PyResult<Bound<'_, PyAny>> {
    py.import("pyarrow")?.call_method1("schema", (ExportedSchema(schema),))
}
