//! A time as text.

use jiff::Timestamp;

const DAY: i64 = 24 * 60 * 60 * 1_000;
/// The days from March of the year 0 to 1970.
const EPOCH: i64 = 719_468;
/// The days of the 400 years after which the calendar repeats itself.
const ERA: i64 = 146_097;

/// Returns a time of RFC 3339. Behind the year 9999, and before the first, the year has a sign and at least six digits, as ISO 8601 expands it.
pub(crate) fn text(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| expanded(milliseconds), |time| time.to_string())
}

fn expanded(milliseconds: i64) -> String {
    let (year, month, day) = date(milliseconds.div_euclid(DAY));
    let rest = milliseconds.rem_euclid(DAY);
    let (seconds, fraction) = (rest / 1_000, rest % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
    format!("{year:+07}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Returns the date that lies so many days behind 1970: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months count from March, so that the leap day is the last one of a year.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * era + year_of_era + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_calendar_is_the_same_both_ways() {
        for text in [
            "9999-12-30T21:59:59Z",
            "2024-02-29T00:00:00.007Z",
            "1970-01-01T00:00:00Z",
            "0001-03-01T12:34:56Z",
        ] {
            let time: Timestamp = text.parse().unwrap();
            let expanded = expanded(time.as_millisecond());
            assert_eq!(
                (self::text(time.as_millisecond()), &*expanded),
                (text.to_owned(), &*format!("+00{text}"))
            );
        }
    }

    #[test]
    fn a_time_behind_the_calendar_keeps_its_year() {
        for (milliseconds, expected) in [
            (253_402_300_800_000, "+010000-01-01T00:00:00Z"),
            (i64::MAX, "+292278994-08-17T07:12:55.807Z"),
            (i64::MIN, "-292275055-05-16T16:47:04.192Z"),
        ] {
            assert_eq!(text(milliseconds), expected);
        }
    }
}
