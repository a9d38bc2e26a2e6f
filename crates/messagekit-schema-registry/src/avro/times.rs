//! Dates and times as texts.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use super::fault::{Fault, fault};
use super::types::Unit;

/// The nanoseconds of a day.
const DAY: i128 = 86_400_000_000_000;

impl Unit {
    /// Returns how many of the unit are a second.
    fn per_second(self) -> i128 {
        match self {
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1_000_000,
            Self::Nanoseconds => 1_000_000_000,
        }
    }

    fn nanoseconds(self, count: i64) -> i128 {
        i128::from(count) * (1_000_000_000 / self.per_second())
    }

    /// Returns the whole units, rounded towards the past.
    fn count(self, nanoseconds: i128) -> Result<i64, Fault> {
        let count = nanoseconds.div_euclid(1_000_000_000 / self.per_second());
        i64::try_from(count).map_err(|_| fault("time has more than 64 bits in the unit of the schema"))
    }
}

/// The start of 1970, from which Avro counts.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

fn out_of_range<E>(_: E) -> Fault {
    fault("time is out of the years -9999 to 9999")
}

/// Returns the time of a calendar without a zone. The times of `Timestamp` end two days before the calendar does, and a last day of
/// 9999 is a usual one.
fn after_epoch(nanoseconds: i128) -> Result<DateTime, Fault> {
    EPOCH.checked_add(SignedDuration::from_nanos_i128(nanoseconds)).map_err(out_of_range)
}

fn since_epoch(time: DateTime) -> i128 {
    time.duration_since(EPOCH).as_nanos()
}

/// Returns a date, by days since 1970.
pub(super) fn date(days: i32) -> Result<String, Fault> {
    Ok(after_epoch(i128::from(days) * DAY)?.date().to_string())
}

/// Returns the days since 1970 of a date. A text with a time is none.
pub(super) fn days(text: &str) -> Option<i32> {
    let date: Date = text.parse().ok()?;
    let is_date = !text.contains(['T', 't', ' ']);
    is_date.then(|| i32::try_from(since_epoch(date.to_datetime(Time::midnight())) / DAY).ok())?
}

/// Returns a time of the day, by units since midnight.
pub(super) fn time_of_day(count: i64, unit: Unit) -> Result<String, Fault> {
    let nanoseconds = unit.nanoseconds(count);
    if !(0..DAY).contains(&nanoseconds) {
        return Err(fault("time of the day is not within a day"));
    }
    Ok(after_epoch(nanoseconds)?.time().to_string())
}

/// Returns the units since midnight of a time of the day. A text with a date or an offset is none.
pub(super) fn since_midnight(text: &str, unit: Unit) -> Option<i64> {
    let time: Time = text.parse().ok()?;
    let is_time = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    is_time.then(|| unit.count(time.duration_since(Time::midnight()).as_nanos()).ok())?
}

/// Returns a time in UTC, by units since 1970.
pub(super) fn timestamp(count: i64, unit: Unit) -> Result<String, Fault> {
    Ok(format!("{}Z", after_epoch(unit.nanoseconds(count))?))
}

/// Returns the units since 1970 of a time with its zone.
pub(super) fn since_1970(text: &str, unit: Unit) -> Option<i64> {
    let nanoseconds = match text.parse::<Timestamp>() {
        Ok(time) => time.as_nanosecond(),
        // The last hours of the calendar.
        Err(_) => since_epoch(local_time(text.strip_suffix('Z')?)?),
    };
    unit.count(nanoseconds).ok()
}

/// Returns a time without a zone, by units since 1970.
pub(super) fn local(count: i64, unit: Unit) -> Result<String, Fault> {
    Ok(after_epoch(unit.nanoseconds(count))?.to_string())
}

/// Returns the units since 1970 of a time without a zone.
pub(super) fn local_since_1970(text: &str, unit: Unit) -> Option<i64> {
    unit.count(since_epoch(local_time(text)?)).ok()
}

/// Reads a time without a zone. A text with an offset is none.
fn local_time(text: &str) -> Option<DateTime> {
    let (_, time) = text.split_once('T')?;
    let is_local = time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    is_local.then(|| text.parse().ok())?
}
