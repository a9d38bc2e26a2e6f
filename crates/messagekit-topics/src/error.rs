//! The error of this crate.

use std::fmt;

use messagekit::ErrorKind;
use messagekit_schema::Difference;

use crate::pipeline::{ArmFailure, Shown};

/// An error of a function of the user.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong with a topic or a record: the kind says what a caller can do, and the accessors give the details.
///
/// Its text is one lowercase sentence without a payload.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    error: messagekit::Error,
    details: Details,
}

#[derive(Clone, Debug)]
enum Details {
    None,
    SchemaMismatch(SchemaMismatch),
    Duplicate(Duplicate),
    Failures(Vec<ArmFailure>),
}

/// How the topic of a file differs from the program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaMismatch {
    /// The topic.
    pub topic: String,
    /// Where the schemas differ; empty when a rule does.
    pub differences: Vec<Difference>,
    /// The dedup fields of the file and of the program, when they differ.
    pub dedup: Option<(Vec<String>, Vec<String>)>,
    /// The key field of the file and of the program, when they differ.
    pub key: Option<(Option<String>, Option<String>)>,
}

/// The record that a topic has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The topic.
    pub topic: String,
    /// The id of the record that would have them too, when it exists: in a migration.
    pub record: Option<i64>,
    /// The id of the record with the same dedup fields. Retention may have deleted it.
    pub existing: i64,
}

impl Error {
    /// Returns the kind, which says what a caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.0.error.kind()
    }

    /// Returns whether an unchanged retry may succeed.
    pub fn is_transient(&self) -> bool {
        self.0.error.is_transient()
    }

    /// Returns a named value of the error.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.error.context(name)
    }

    /// Returns how the topic differs, if that is the error.
    pub fn schema_mismatch(&self) -> Option<&SchemaMismatch> {
        match &self.0.details {
            Details::SchemaMismatch(mismatch) => Some(mismatch),
            _ => None,
        }
    }

    /// Returns the record that the topic has already, if that is the error.
    pub fn duplicate(&self) -> Option<&Duplicate> {
        match &self.0.details {
            Details::Duplicate(duplicate) => Some(duplicate),
            _ => None,
        }
    }

    /// Returns the records on which functions of a pipeline failed, if that is the error.
    pub fn failures(&self) -> &[ArmFailure] {
        match &self.0.details {
            Details::Failures(failures) => failures,
            _ => &[],
        }
    }

    pub(crate) fn of_failures(failures: Vec<ArmFailure>) -> Self {
        let text = match failures.len() {
            1 => "pipeline failed on a record".to_owned(),
            failed => format!("pipeline failed on {failed} records"),
        };
        let mut error = messagekit::Error::new(ErrorKind::Other, text);
        if let Some(first) = failures.first() {
            error = error
                .with("topic", &first.source)
                .with("record", first.record)
                .caused_by(Shown(first.error.clone()));
        }
        Self(Box::new(Inner { error, details: Details::Failures(failures) }))
    }

    pub(crate) fn of_mismatch(mismatch: SchemaMismatch) -> Self {
        let mut text = format!("topic {} has ", mismatch.topic);
        match (&mismatch.dedup, &mismatch.key) {
            (Some((stored, given)), _) => {
                let fields =
                    |fields: &[String]| if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
                text.push_str(&format!(
                    "different dedup config: {} there and {} here",
                    fields(stored),
                    fields(given)
                ));
            }
            (None, Some((stored, given))) => {
                let field = |field: &Option<String>| field.clone().unwrap_or_else(|| "none".to_owned());
                text.push_str(&format!("a different key: {} there and {} here", field(stored), field(given)));
            }
            (None, None) => {
                let differences: Vec<String> =
                    mismatch.differences.iter().map(Difference::to_string).collect();
                text.push_str(&format!("a different schema: {}", differences.join("; ")));
            }
        }
        let error = messagekit::Error::new(ErrorKind::SchemaMismatch, text);
        Self(Box::new(Inner { error, details: Details::SchemaMismatch(mismatch) }))
    }

    pub(crate) fn of_duplicate(duplicate: Duplicate) -> Self {
        let text = match duplicate.record {
            None => "topic has a record with the same dedup fields",
            Some(_) => "two records would have the same dedup fields",
        };
        let mut error = messagekit::Error::new(ErrorKind::Duplicate, text)
            .with("topic", &duplicate.topic)
            .with("record", duplicate.existing);
        if let Some(record) = duplicate.record {
            error = error.with("later_record", record);
        }
        Self(Box::new(Inner { error, details: Details::Duplicate(duplicate) }))
    }
}

impl From<messagekit::Error> for Error {
    fn from(error: messagekit::Error) -> Self {
        Self(Box::new(Inner { error, details: Details::None }))
    }
}

/// Without the details.
impl From<Error> for messagekit::Error {
    fn from(error: Error) -> Self {
        error.0.error
    }
}

#[cfg(feature = "sqlite")]
impl From<messagekit_sqlite::Error> for Error {
    fn from(error: messagekit_sqlite::Error) -> Self {
        messagekit::Error::from(error).into()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.error, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.error, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.error.source()
    }
}
