//! Why a value does not fit its schema.

use std::borrow::Cow;

use messagekit::{Error, ErrorKind};

/// A reason with the path of the value, innermost name first.
#[derive(Debug)]
pub(super) struct Fault {
    path: Vec<String>,
    text: Cow<'static, str>,
}

pub(super) fn fault(text: impl Into<Cow<'static, str>>) -> Fault {
    Fault { path: Vec::new(), text: text.into() }
}

impl Fault {
    /// Returns the fault, found in the field or item of this name.
    pub(super) fn within(mut self, name: impl Into<String>) -> Self {
        self.path.push(name.into());
        self
    }

    pub(super) fn into_error(self, kind: ErrorKind) -> Error {
        if self.path.is_empty() {
            return Error::new(kind, self.text);
        }
        let path: Vec<String> = self.path.into_iter().rev().collect();
        Error::new(kind, format!("field `{}`: {}", path.join("."), self.text))
    }
}
