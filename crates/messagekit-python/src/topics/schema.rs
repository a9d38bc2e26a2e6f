//! Schemas as the Python part writes them.

use messagekit::{Error as CoreError, ErrorKind};
use messagekit_topics::Error;
use serde_json::Value;

/// Parses a schema.
pub(crate) fn parsed(schema: &str) -> Result<Value, Error> {
    serde_json::from_str(schema).map_err(|error| {
        CoreError::new(ErrorKind::InvalidConfiguration, "schema is no JSON").caused_by(error).into()
    })
}
