//! What a command answers.

use serde::Serialize;
use serde_json::Value;

/// The rows of a command, as one JSON object: `{"schema": […], "rows": [[…]], "row_count": n}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    /// Its columns.
    pub schema: Vec<AnswerColumn>,
    /// Its rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// The number of its rows.
    pub row_count: usize,
    /// What was done, as a sentence, if the command returns no rows; and of a `CONSUME` that records were deleted before the group settled
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A column of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerColumn {
    /// Its name.
    pub name: &'static str,
    /// What its values are, if they are not null.
    pub data_type: ColumnType,
    /// Its place in a row, from 0.
    pub index: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ColumnType {
    /// A string.
    Text,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    BigInt,
    /// True or false.
    Boolean,
    /// Bytes, as a string in base64.
    Binary,
    /// Any JSON value.
    Json,
    /// A time, as a string in the form of RFC 3339.
    Timestamp,
}

impl Answer {
    /// Returns an answer with these columns.
    pub(super) fn of(columns: &[(&'static str, ColumnType)], rows: Vec<Vec<Value>>) -> Self {
        let column = |(index, (name, data_type)): (usize, &(&'static str, ColumnType))| AnswerColumn {
            name,
            data_type: *data_type,
            index,
        };
        let row_count = rows.len();
        Self { schema: columns.iter().enumerate().map(column).collect(), rows, row_count, message: None }
    }

    /// Returns an answer without rows.
    pub(super) fn done(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::default() }
    }
}
