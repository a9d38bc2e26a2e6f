//! JSON text from any language.

use messagekit::{Error as CoreError, ErrorKind};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Error;

/// Checks that a text is JSON that every program can read, and returns it with the digits of its numbers. An integer that no 64-bit integer
/// holds, a number beyond the floats, and a byte order mark are refused.
///
/// # Errors
/// [`ErrorKind::InvalidEvent`] with the line and column, or the byte, as `at`. The text is not quoted.
pub fn parse_json(text: &str) -> Result<Box<RawValue>, Error> {
    let refused = |text: &'static str| CoreError::new(ErrorKind::InvalidEvent, text);
    if text.starts_with('\u{feff}') {
        let text = "text begins with a byte order mark, which JSON does not have: write UTF-8 without one";
        return Err(refused(text).with("at", "byte 0").into());
    }
    let value: Result<Value, _> = serde_json::from_str(text);
    value.map_err(|error| {
        let at = match error.line() {
            0 | 1 => format!("column {}", error.column()),
            line => format!("line {line} column {}", error.column()),
        };
        refused("text is no JSON").with("at", at)
    })?;
    if let Some(at) = wide_integer(text) {
        let text = "integer does not fit into 64 bits: write it as a string";
        return Err(refused(text).with("at", format!("byte {at}")).into());
    }
    RawValue::from_string(text.trim().to_owned()).map_err(|_| refused("text is no JSON").into())
}

/// Returns where an integer begins that is neither an `i64` nor a `u64`. The text is JSON.
fn wide_integer(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = behind_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_of_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = bytes[at..].iter().take_while(|byte| is_of_number(byte)).count();
                let number = &text[at..at + length];
                let is_integer = !number.contains(['.', 'e', 'E']);
                if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some(at);
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

fn behind_string(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_they_are_or_refused() {
        for text in [
            "1",
            "-9223372036854775808",
            "18446744073709551615",
            "1e300",
            "12345678901234567890.5",
            r#""99999999999999999999999""#,
        ] {
            assert!(parse_json(text).is_ok(), "{text}");
        }
        for text in
            ["18446744073709551616", "-9223372036854775809", r#"{"a\\\"": [1, 99999999999999999999]}"#]
        {
            let error = parse_json(text).unwrap_err();
            assert!(error.to_string().contains("64 bits"), "{text}: {error}");
        }
        for text in ["", "NaN", "{", "\"\u{1}\"", r#""\ud800""#] {
            assert_eq!(parse_json(text).unwrap_err().kind(), ErrorKind::InvalidEvent, "{text}");
        }
    }
}
