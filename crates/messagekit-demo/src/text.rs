//! Numbers for people.

/// Writes a number with separators: `1,234,567`.
pub(crate) fn count(number: impl TryInto<i128>) -> String {
    // Every count in this crate fits.
    let number = number.try_into().unwrap_or(i128::MAX);
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Writes a count with its noun: `1 bill`, `2,000 bills`.
pub(crate) fn some(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Writes pence as pounds: `£1,234.56`.
pub(crate) fn pounds(pence: i64) -> String {
    let sign = if pence < 0 { "-" } else { "" };
    let pence = pence.unsigned_abs();
    format!("{sign}£{}.{:02}", count(pence / 100), pence % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((some(1, "bill"), some(2_000, "bill")), ("1 bill".to_owned(), "2,000 bills".to_owned()));
        assert_eq!(pounds(-1_106_206), "-£11,062.06");
        assert_eq!(pounds(5), "£0.05");
    }
}
