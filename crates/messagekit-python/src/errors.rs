//! Errors on their way to Python, which gives them its own classes.

use messagekit::chain;
use messagekit_topics::Error;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use serde_json::{Value, json};

create_exception!(
    messagekit_rs._native,
    NativeError,
    PyException,
    "An error of the file: its kind, its text, and its details as JSON."
);

/// Turns an error into (kind, text, details).
pub(crate) fn to_python(error: Error) -> PyErr {
    let mut details = json!({});
    if let Some(duplicate) = error.duplicate() {
        details["duplicate"] = json!({ "existing": duplicate.existing, "record": duplicate.record });
    }
    if let Some(mismatch) = error.schema_mismatch() {
        let rule = match (&mismatch.dedup, &mismatch.key) {
            (Some(_), _) => "dedup",
            (None, Some(_)) => "key",
            (None, None) => "schema",
        };
        details["mismatch"] = rule.into();
    }
    if !error.failures().is_empty() {
        details["failures"] = error.failures().iter().map(failure).collect();
    }
    let kind = format!("{:?}", error.kind());
    NativeError::new_err((kind, chain(&error), details.to_string()))
}

/// Turns an error of a log into (kind, text, details).
pub(crate) fn of_log(error: messagekit::Error) -> PyErr {
    let details = json!({ "is_transient": error.is_transient() });
    NativeError::new_err((format!("{:?}", error.kind()), chain(&error), details.to_string()))
}

fn failure(failure: &messagekit_topics::ArmFailure) -> Value {
    let duplicate = failure.error.downcast_ref::<Error>().and_then(Error::duplicate);
    json!({
        "record": failure.record,
        "source": &*failure.source,
        "target": failure.target.as_deref(),
        "text": chain(&*failure.error),
        "existing": duplicate.map(|duplicate| duplicate.existing),
    })
}
