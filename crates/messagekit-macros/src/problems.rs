//! Collects problems, so that one compilation shows all of them.

use std::fmt::Display;

use proc_macro2::Span;
use syn::{Error, Result};

/// The problems so far, in the order of discovery.
#[derive(Default)]
pub(crate) struct Problems(Option<Error>);

impl Problems {
    /// Adds a problem.
    pub(crate) fn push(&mut self, problem: Error) {
        match &mut self.0 {
            Some(first) => first.combine(problem),
            None => self.0 = Some(problem),
        }
    }

    /// Adds a problem that `text` describes and `span` points at.
    pub(crate) fn push_at(&mut self, span: Span, text: impl Display) {
        self.push(Error::new(span, text));
    }

    /// Returns the value of a success, and records the problem of a failure.
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// Returns all problems as one error, if there are any.
    pub(crate) fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
