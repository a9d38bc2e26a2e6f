//! The exact value of a number's text.

use std::fmt;

/// A decimal number: `0.DIGITS` times a power of ten. Equal numbers are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a number of JSON. An exponent out of the range of an `i64` counts as the nearest one.
    pub(super) fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let farthest = if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
        let exponent: i64 = exponent.parse().unwrap_or(farthest).clamp(i64::MIN / 4, i64::MAX / 4);
        let (is_negative, mantissa) =
            mantissa.strip_prefix('-').map_or((false, mantissa), |mantissa| (true, mantissa));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let behind_zeros = all.trim_start_matches('0');
        let zeros = length(&all) - length(behind_zeros);
        match behind_zeros.trim_end_matches('0') {
            "" => Self { is_negative: false, digits: String::new(), exponent: 0 },
            digits => {
                let exponent = exponent + length(whole) - zeros;
                Self { is_negative, digits: digits.to_owned(), exponent }
            }
        }
    }

    /// Returns the number as an integer of at most so many digits, if it is one.
    pub(super) fn integer(&self, max_digits: i64) -> Option<String> {
        let zeros = usize::try_from(self.exponent - length(&self.digits)).ok()?;
        let is_short = self.exponent <= max_digits;
        is_short.then(|| match &*self.digits {
            "" => "0".to_owned(),
            digits => format!("{}{digits}{}", self.sign(), "0".repeat(zeros)),
        })
    }

    fn sign(&self) -> &'static str {
        if self.is_negative { "-" } else { "" }
    }
}

fn length(digits: &str) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX / 4)
}

/// Writes all digits: with a point inside them, or in front of few zeros, and otherwise with an exponent.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, digits, length) = (self.sign(), &*self.digits, length(&self.digits));
        match self.exponent {
            _ if digits.is_empty() => f.write_str("0"),
            exponent if (1..=length).contains(&exponent) => {
                let (whole, fraction) = digits.split_at(usize::try_from(exponent).unwrap_or(digits.len()));
                let point = if fraction.is_empty() { "" } else { "." };
                write!(f, "{sign}{whole}{point}{fraction}")
            }
            exponent @ -3..=0 => {
                write!(f, "{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs().try_into().unwrap_or(0)))
            }
            exponent => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                let (exponent, minus) = ((exponent - 1).unsigned_abs(), exponent <= 0);
                write!(f, "{sign}{first}{point}{rest}e{}{exponent:02}", if minus { '-' } else { '+' })
            }
        }
    }
}
