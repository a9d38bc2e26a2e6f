//! A check of data against a schema.

use std::fmt;

use crate::{Error, ErrorKind};

/// Checks the data of events before they are written, or before a handler gets them: `messagekit-schema` does so by JSON Schemas.
pub trait DataCheck: fmt::Debug + Send + Sync {
    /// Checks the data of an event of a type and a version.
    ///
    /// # Errors
    /// Says which field breaks which rule, without a value of the data.
    fn check(&self, event_type: &str, data_version: &str, data: &[u8]) -> Result<(), String>;

    /// Returns the event types that have a schema.
    fn types(&self) -> Vec<&str>;

    /// Checks the data of an event that is to be written.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`] with the text of [`check`](Self::check), type and version.
    fn check_written(&self, event_type: &str, data_version: &str, data: &[u8]) -> Result<(), Error> {
        self.check(event_type, data_version, data).map_err(|text| {
            let error = Error::new(ErrorKind::InvalidEvent, text);
            error.with("event_type", event_type).with("data_version", data_version)
        })
    }
}
