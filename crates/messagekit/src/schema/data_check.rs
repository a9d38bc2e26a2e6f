//! A check of data against a schema, by whoever has schemas.

use std::fmt;

/// Checks data before it is written, or before a handler gets it.
pub(crate) trait DataCheck: fmt::Debug + Send + Sync {
    /// Checks the data of an event of a type and a version.
    ///
    /// # Errors
    /// Says which field breaks which rule, without a value of the data.
    fn check(&self, event_type: &str, data_version: &str, data: &[u8]) -> Result<(), String>;
}
