//! A promise, and whether it held.

use serde::Serialize;

/// Describes a promise and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// A stable name.
    pub name: &'static str,
    /// The promise as text.
    pub promise: &'static str,
    /// The outcome.
    pub outcome: Outcome,
    /// The statistics that decide it, as text.
    pub statistics: String,
}

/// The outcome of a promise, or of a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The promise held.
    Kept,
    /// The promise did not hold.
    Broken,
    /// Nothing was broken, but the run proves nothing: too few kills, or no duplicate.
    Void,
}
