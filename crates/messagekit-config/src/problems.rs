//! Problems of a configuration.

use std::fmt;

use messagekit::{Error, ErrorKind};

/// Formats one problem.
pub(super) fn problem(key: &str, location: &str, text: &dyn fmt::Display) -> String {
    format!("{key} ({location}): {text}")
}

/// Refuses a configuration with problems, as [`Configuration::finish`](super::Configuration::finish) does: for programs that find problems after the
/// last section.
///
/// # Errors
/// Returns [`ErrorKind::InvalidConfiguration`] with all problems, unless there are none.
pub fn refuse(problems: &[String]) -> Result<(), Error> {
    let text = match problems {
        [] => return Ok(()),
        [problem] => problem.clone(),
        several => format!("{} problems in the configuration: {}", several.len(), several.join("; ")),
    };
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}
