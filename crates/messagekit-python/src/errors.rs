//! Errors on their way to Python, which gives them its own classes.

use messagekit::{Error, chain};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use serde_json::json;

#[cfg(feature = "file")]
create_exception!(
    messagekit_rs._native,
    NativeError,
    PyException,
    "An error: its kind, its text, and its details as JSON."
);
#[cfg(not(feature = "file"))]
create_exception!(
    messagekit_rs_kafka._native,
    NativeError,
    PyException,
    "An error: its kind, its text, and its details as JSON."
);

/// Turns an error of a log into (kind, text, details).
pub(crate) fn of_log(error: Error) -> PyErr {
    let details = json!({ "is_transient": error.is_transient() });
    NativeError::new_err((format!("{:?}", error.kind()), chain(&error), details.to_string()))
}
