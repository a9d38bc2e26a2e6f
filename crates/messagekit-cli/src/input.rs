//! Parsers of command-line values.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, tz::TimeZone};

/// Reads the number of a failed message.
pub(crate) fn number_of_a_message(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "write the number of a failed message, such as 7".to_owned())
}

/// Returns the text of a file, or that of standard input for `-`.
pub(crate) fn text_of(path: &Path) -> io::Result<String> {
    if path == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) }
}

/// Parses a time: exact, the beginning of a day in UTC, or an age.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(day) = date.to_zoned(TimeZone::UTC)
    {
        return Ok(day.timestamp());
    }
    let ago: Option<SignedDuration> = text.parse().ok().filter(|ago: &SignedDuration| !ago.is_negative());
    ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok())
        .ok_or_else(|| "write 2026-01-31T12:00:00Z, 2026-01-31, or 2h for two hours ago".to_owned())
}

/// Parses a duration; a day has 24 hours.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let span: Option<Span> = text.trim().parse().ok();
    span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
        .and_then(|length| Duration::try_from(length).ok())
        .ok_or_else(|| "write a time such as 12h or 30d".to_owned())
}

/// Parses bytes from pairs of hexadecimal digits.
pub(crate) fn bytes_of_hex(text: &str) -> Result<Arc<[u8]>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2 && !pair.starts_with('+'))?;
        u8::from_str_radix(pair, 16).ok()
    };
    pairs
        .map(byte)
        .collect::<Option<_>>()
        .ok_or_else(|| "write hexadecimal digits, two for each byte".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_hours_days_or_both() {
        assert_eq!(span("7d").unwrap(), Duration::from_secs(7 * 86_400));
        assert_eq!(span("1d 12h").unwrap(), Duration::from_secs(36 * 3_600));
        assert_eq!(span("0s").unwrap(), Duration::ZERO);
        for nonsense in ["", "soon", "-7d", "7", "1 month"] {
            assert!(span(nonsense).unwrap_err().contains("30d"), "{nonsense}");
        }
    }

    #[test]
    fn a_time_is_exact_a_day_or_so_long_ago() {
        assert_eq!(moment("2026-01-31T12:00:00+02:00").unwrap().to_string(), "2026-01-31T10:00:00Z");
        assert_eq!(moment("2026-01-31").unwrap().to_string(), "2026-01-31T00:00:00Z");
        let ago = Timestamp::now().duration_since(moment("2h 30m").unwrap());
        assert!((ago - SignedDuration::from_mins(150)).abs() < SignedDuration::from_secs(60), "{ago}");
        for wrong in ["", "yesterday", "-2h", "2026-02-30", "7", "99999999999999h"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!(&*bytes_of_hex("fe01").unwrap(), [0xfe, 1]);
        assert_eq!(&*bytes_of_hex("0xFE").unwrap(), [0xfe]);
        for wrong in ["f", "fe0", "zz", "+1", "é"] {
            assert!(bytes_of_hex(wrong).is_err(), "{wrong}");
        }
    }
}
