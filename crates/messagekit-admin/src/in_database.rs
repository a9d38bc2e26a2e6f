//! An entry of a document, with its database.

use std::ops::Deref;

use serde::Serialize;
use utoipa::ToSchema;

/// What one database answered, in a document of several databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InDatabase<T> {
    /// The name of the database.
    pub database: String,
    /// Its answer; the document has its fields beside the name.
    #[serde(flatten)]
    pub entry: T,
}

impl<T> InDatabase<T> {
    /// Names the database of an answer.
    pub fn new(database: impl Into<String>, entry: T) -> Self {
        Self { database: database.into(), entry }
    }

    /// Names the database of each entry of its answer.
    pub(crate) fn all(database: &str, entries: Vec<T>) -> Vec<Self> {
        entries.into_iter().map(|entry| Self::new(database, entry)).collect()
    }
}

impl<T> Deref for InDatabase<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.entry
    }
}
