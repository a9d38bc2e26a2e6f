//! The runs of a failed message that failed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// One run of a failed message that failed. A failed message has its last 20, also after a retry has set its
/// attempts to 0.
///
/// A run that ended with its process counts when the next one begins. A crash of several messages at once counts for none of
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedRun {
    /// When it failed, by database time. Of a run that ended without a result: when it began.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Its number, as the attempts of the message counted it then.
    pub attempt: u32,
    /// The error with its sources, in one line.
    pub error: String,
    /// The process that ran it; null where an earlier program did.
    pub instance: Option<String>,
}

impl FailedRun {
    /// How many runs of a failed message are kept.
    pub const KEPT: usize = 20;

    /// The error of a run that ended without a result.
    pub const WITHOUT_RESULT: &str = "ended without a result: its process crashed, or was cut off";

    /// Reads the list that a store keeps, oldest run first.
    ///
    /// ```
    /// use messagekit::operations::FailedRun;
    ///
    /// let stored = r#"[{"at": 1000000, "attempt": 1, "error": "no stock", "instance": "shop-1/7"}, {"at": 2000000, "attempt": 2}]"#;
    /// let runs = FailedRun::list(stored)?;
    /// assert_eq!((runs[0].attempt, &*runs[0].error), (1, "no stock"));
    /// assert_eq!((&*runs[1].error, &runs[1].instance), (FailedRun::WITHOUT_RESULT, &None));
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if the text is no such list. A retry does not help.
    pub fn list(stored: &str) -> Result<Vec<Self>, Error> {
        // The cause would quote an error text, so report only its location.
        let corrupt = || Error::new(ErrorKind::Corrupt, "stored failed runs are not a list of runs");
        let rows = serde_json::from_str(stored).map_err(|error| corrupt().with("column", error.column()));
        let run = |StoredRun { at, attempt, error, instance }: StoredRun| {
            let at = Timestamp::from_microsecond(at).map_err(|_| corrupt())?;
            Ok(Self {
                at,
                attempt,
                error: error.unwrap_or_else(|| Self::WITHOUT_RESULT.to_owned()),
                instance,
            })
        };
        rows.and_then(|rows: Vec<StoredRun>| rows.into_iter().map(run).collect())
    }
}

/// A run as stores write it: the time in microseconds, which every database writes alike.
#[derive(Deserialize)]
struct StoredRun {
    at: i64,
    attempt: u32,
    error: Option<String>,
    instance: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_back_as_they_were_written() {
        let at = Timestamp::from_microsecond(1_700_000_000_123_456).expect("a time");
        let runs = [FailedRun { at, attempt: 3, error: "no \"stock\"".to_owned(), instance: None }];
        let stored = r#"[{"at": 1700000000123456, "attempt": 3, "error": "no \"stock\"", "instance": null}]"#;
        assert_eq!(FailedRun::list(stored).expect("it was written so"), runs);
    }

    #[test]
    fn what_is_no_list_of_runs_is_corrupt_and_not_quoted() {
        for stored in ["", "{}", r#"[{"at": "secret"}]"#, r#"[{"at": 9223372036854775807, "attempt": 1}]"#] {
            let error = FailedRun::list(stored).expect_err("no list of runs");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
