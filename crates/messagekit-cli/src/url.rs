//! A URL that may contain a password.

use std::fmt;
use std::ops::Deref;

/// Access it with `*`. It is never shown: neither help, errors nor `Debug` repeat it.
// Every text is accepted from the command line: clap would repeat a rejected one.
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
