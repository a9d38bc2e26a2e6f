//! Where an axis has its ticks, and what stands at them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// Steps of times from a second on; below they are those of numbers.
const STEPS: [f64; 22] = [
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    30.0 * DAY,
    90.0 * DAY,
    180.0 * DAY,
    365.0 * DAY,
];

/// A range of values with its ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// From 0 to a number of seconds, with at most so many steps.
    pub(super) fn seconds(high: f64, most: usize) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        Self { low: 0.0, high, step: round_step(high / most as f64) }
    }

    /// Over times, with some space at both ends.
    pub(super) fn times(low: Timestamp, high: Timestamp, most: usize) -> Self {
        let (low, high) = (epoch_seconds(low), epoch_seconds(high));
        let space = if high > low { (high - low) * 0.03 } else { 1.0 };
        let (low, high) = (low - space, high + space);
        let least = (high - low) / most as f64;
        let years = 365.0 * DAY;
        let step = match STEPS.into_iter().find(|step| *step >= least) {
            _ if least < 0.5 => round_step(least).max(0.001),
            Some(step) => step,
            None => years * round_step(least / years),
        };
        Self { low, high, step }
    }

    /// Returns where a value stands, from 0 at the low end to 1 at the high one.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        let (first, last) = ((self.low / self.step).ceil() as i64, (self.high / self.step).floor() as i64);
        (first..=last).map(|index| index as f64 * self.step)
    }

    /// Returns the text of a number of seconds.
    pub(super) fn number(&self, value: f64) -> String {
        let digits = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{value:.digits$}")
    }

    /// Returns the text of a time, as long as the ticks need it.
    pub(super) fn time(&self, value: f64) -> String {
        let form = match self.step {
            step if step < 1.0 => "%H:%M:%S%.3f",
            step if step >= DAY => "%Y-%m-%d",
            _ if self.day().is_none() => "%m-%d %H:%M",
            step if step < MINUTE => "%H:%M:%S",
            _ => "%H:%M",
        };
        let time = Timestamp::from_millisecond((value * 1e3).round() as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_zoned(TimeZone::UTC).strftime(form).to_string()
    }

    /// Returns the day of all ticks, if it is one and they do not name it.
    pub(super) fn day(&self) -> Option<String> {
        let day = |value: f64| (value / DAY).floor() as i64;
        let is_one = self.step < DAY && day(self.low) == day(self.high);
        let time = Timestamp::from_second(self.low as i64).ok().filter(|_| is_one || self.step < 1.0)?;
        Some(time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string())
    }
}

/// Returns a time as seconds since 1970.
pub(super) fn epoch_seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1e3
}

/// Returns 1, 2 or 5 times a power of ten, not below a number.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least * 0.999_999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn texts(low: &str, high: &str) -> (Vec<String>, Option<String>) {
        let axis = Axis::times(at(low), at(high), 8);
        (axis.ticks().map(|tick| axis.time(tick)).collect(), axis.day())
    }

    #[test]
    fn seconds_have_round_ticks_from_zero_on() {
        for (high, texts) in [
            (0.0, vec!["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (0.034, vec!["0.000", "0.005", "0.010", "0.015", "0.020", "0.025", "0.030"]),
            (7.2, vec!["0", "1", "2", "3", "4", "5", "6", "7"]),
            (1_234.0, vec!["0", "200", "400", "600", "800", "1000", "1200"]),
        ] {
            let axis = Axis::seconds(high, 8);
            assert_eq!(axis.ticks().map(|tick| axis.number(tick)).collect::<Vec<_>>(), texts);
        }
    }

    #[test]
    fn times_are_as_long_as_their_range_needs() {
        let (seconds, day) = texts("2026-01-31T10:00:00Z", "2026-01-31T10:00:50Z");
        assert_eq!((seconds[0].as_str(), day.as_deref()), ("10:00:00", Some("2026-01-31")));
        let (minutes, day) = texts("2026-01-31T10:01:00Z", "2026-01-31T11:50:00Z");
        assert_eq!((minutes[0].as_str(), day.is_some()), ("10:00", true));
        let (hours, day) = texts("2026-01-31T20:00:00Z", "2026-02-01T07:00:00Z");
        assert_eq!(
            (hours[0].as_str(), hours.last().unwrap().as_str(), day),
            ("01-31 20:00", "02-01 06:00", None)
        );
        let (days, day) = texts("2025-03-01T20:00:00Z", "2026-02-01T07:00:00Z");
        assert_eq!((days[0].len(), day), ("2025-03-31".len(), None));
        let (millis, day) = texts("2026-01-31T10:00:00Z", "2026-01-31T10:00:00.040Z");
        assert_eq!((millis[0].as_str(), day.is_some()), ("10:00:00.000", true));
        let (years, _) = texts("1000-01-01T00:00:00Z", "9000-02-01T07:00:00Z");
        assert!((3..=8).contains(&years.len()), "{years:?}");
    }

    #[test]
    fn ticks_are_few_and_in_range_whatever_the_range() {
        let low = at("2026-01-31T23:59:59.995Z");
        for exponent in 0..12 {
            let high = low + jiff::SignedDuration::from_millis(10_i64.pow(exponent) * 3);
            let axis = Axis::times(low, high, 8);
            let ticks: Vec<_> = axis.ticks().collect();
            assert!((2..=9).contains(&ticks.len()), "{high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (0.0..=1.0).contains(&axis.share(*tick))));
        }
        let axis = Axis::times(low, low, 8);
        assert!(axis.ticks().count() >= 2 && axis.share(epoch_seconds(low)) == 0.5);
    }
}
