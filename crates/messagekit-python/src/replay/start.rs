//! Where a topic begins, as Python names it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use messagekit::log::Start;
use messagekit::{Error, ErrorKind};
use pyo3::prelude::*;

/// A topic and where it begins, as a dictionary of these keys. What a policy needs is there.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct SourceTopic {
    pub(super) name: String,
    policy: String,
    time_ms: Option<i64>,
    offset: Option<i64>,
    timezone: Option<String>,
    consumer: Option<String>,
}

impl SourceTopic {
    /// Returns where it begins.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for what no policy is, and for an unknown time zone.
    pub(super) fn start(self) -> Result<Start, Error> {
        let Self { name, policy, time_ms, offset, timezone, consumer } = self;
        Ok(match (&*policy, time_ms, offset, timezone, consumer) {
            ("latest", ..) => Start::Latest,
            ("earliest", ..) => Start::Earliest,
            ("relative_time", Some(ms), ..) => match u64::try_from(ms) {
                Ok(ms) => Start::Ago(Duration::from_millis(ms)),
                // As far in the future as the age is negative.
                Err(_) => Start::At(moment(Timestamp::now().as_millisecond().saturating_sub(ms))),
            },
            ("absolute_time", Some(ms), ..) => Start::At(moment(ms)),
            ("offset", _, Some(offset), ..) => Start::Offset(offset),
            ("start_of_day", _, _, Some(zone), _) => Start::StartOfDay(time_zone(&zone)?),
            ("committed", _, _, _, Some(consumer)) => Start::Committed(consumer.into()),
            _ => {
                let text = "topic has no policy that can be used";
                let error = Error::new(ErrorKind::InvalidConfiguration, text);
                return Err(error.with("topic", name).with("policy", policy));
            }
        })
    }
}

/// Returns the moment of milliseconds since 1970, or the nearest one that the calendar has.
pub(super) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn time_zone(name: &str) -> Result<TimeZone, Error> {
    let unknown = "time zone is unknown: write it as Europe/Berlin or UTC";
    TimeZone::get(name).map_err(|_| Error::new(ErrorKind::InvalidConfiguration, unknown).with("zone", name))
}

/// Returns whether a name is that of a time zone.
#[cfg(feature = "file")]
#[pyfunction]
pub(crate) fn is_time_zone(name: &str) -> bool {
    time_zone(name).is_ok()
}
