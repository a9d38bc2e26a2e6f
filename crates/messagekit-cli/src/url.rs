//! A URL that may hold a password.

use std::fmt;
use std::ops::Deref;

/// Read with `*`, and never shown: neither help, errors nor `Debug` repeat it.
// Anything is taken from the command line: what is refused there would be repeated.
#[derive(Clone)]
pub(crate) struct Url(String);

impl From<String> for Url {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl Deref for Url {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url")
    }
}
