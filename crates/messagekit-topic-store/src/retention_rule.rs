//! How long a topic keeps its records.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use serde::{Serialize, Serializer};

/// How long a topic keeps its records. What is no longer kept is deleted, from the oldest record of each partition on.
///
/// A record may be deleted when it is older than `max_age`, or when its partition is larger than `max_bytes`, or at once if neither is
/// set; but with `keep_unhandled` only after every consumer has handled it, or once it is older than `unhandled_max_age`. The clock is that
/// of the database.
///
/// Dedup hashes outlive their records: a fact that was appended once is a duplicate for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RetentionRule {
    /// The age from which a record may be deleted.
    #[serde(rename = "max_age_seconds", serialize_with = "seconds")]
    pub max_age: Option<Duration>,
    /// The most bytes of keys and payloads of a partition. Its last record stays also if it alone is larger.
    pub max_bytes: Option<u64>,
    /// A record stays until every consumer has handled it, or settled it otherwise. A consumer counts from the first record that it has
    /// handled in the topic; before there is one, all records stay.
    pub keep_unhandled: bool,
    /// The age from which `keep_unhandled` no longer keeps a record: a consumer that is gone holds back no more than this.
    #[serde(
        rename = "unhandled_max_age_seconds",
        serialize_with = "seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub unhandled_max_age: Option<Duration>,
}

impl RetentionRule {
    /// Deletes records of this age.
    #[must_use]
    pub fn of_age(max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..Self::of_nothing() }
    }

    /// Deletes the oldest records of a partition while it holds more bytes.
    #[must_use]
    pub fn of_bytes(max_bytes: u64) -> Self {
        Self { max_bytes: Some(max_bytes), ..Self::of_nothing() }
    }

    /// Deletes records that every consumer has handled.
    #[must_use]
    pub fn of_handled() -> Self {
        Self { keep_unhandled: true, ..Self::of_nothing() }
    }

    /// Deletes every record. No topic can have this rule: a store clears a topic by it.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self { max_age: None, max_bytes: None, keep_unhandled: false, unhandled_max_age: None }
    }

    /// Checks that the rule keeps anything, and is in the range of a database.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with what to write instead.
    pub fn check(&self) -> Result<(), Error> {
        let refused = |text| Err(Error::new(ErrorKind::InvalidConfiguration, text));
        match *self {
            Self { keep_unhandled: false, unhandled_max_age: Some(_), .. } => refused(
                "age of unhandled records is set, and the rule does not keep them: set that they stay, too",
            ),
            Self { max_age: None, max_bytes: None, keep_unhandled: false, .. } => {
                refused("retention rule keeps no record: set an age, bytes, or that unhandled records stay")
            }
            Self { max_age: Some(age), .. } | Self { unhandled_max_age: Some(age), .. }
                if age.as_micros() == 0 =>
            {
                refused("retention rule keeps no record: its age is 0")
            }
            Self { max_bytes: Some(0), .. } => refused("retention rule keeps no record: its bytes are 0"),
            Self { max_age: Some(age), .. } | Self { unhandled_max_age: Some(age), .. }
                if i64::try_from(age.as_micros()).is_err() =>
            {
                refused("age of the retention rule is out of range: leave it out to keep records for ever")
            }
            Self { max_bytes: Some(bytes), .. } if i64::try_from(bytes).is_err() => {
                refused("bytes of the retention rule are out of range: leave them out to set no limit")
            }
            _ => Ok(()),
        }
    }
}

fn seconds<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs_f64()).serialize(serializer)
}
