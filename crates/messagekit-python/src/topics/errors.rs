//! Errors of topics on their way to Python.

use messagekit::chain;
use messagekit_topics::{ArmFailure, Error};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::errors::NativeError;

/// Turns an error into (kind, text, details).
pub(super) fn to_python(error: Error) -> PyErr {
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

fn failure(failure: &ArmFailure) -> Value {
    let duplicate = failure.error.downcast_ref::<Error>().and_then(Error::duplicate);
    json!({
        "record": failure.record,
        "source": &*failure.source,
        "target": failure.target.as_deref(),
        "text": chain(&*failure.error),
        "existing": duplicate.map(|duplicate| duplicate.existing),
    })
}
