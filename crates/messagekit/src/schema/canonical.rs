//! The bytes of a JSON value over which programs in every language compute the same hash.
//!
//! Keys are sorted by code point, there are no blanks, and text is UTF-8 with the shortest escapes: what Python's `json.dumps`
//! writes with `sort_keys=True`, `ensure_ascii=False` and `separators=(",", ":")`. Numbers are written as Python writes them: the
//! shortest digits that read back the same, with an exponent below 0.0001 and from 10¹⁶ on.

use std::fmt::Write as _;

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

use crate::hex;

/// Returns the canonical text of a value.
///
/// ```
/// use messagekit::schema::canonical;
/// use serde_json::json;
///
/// assert_eq!(canonical::text(&json!({"b": 1.0, "a": [1e16, "é"]})), r#"{"a":[1e+16,"é"],"b":1.0}"#);
/// ```
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    text
}

/// Returns the SHA-256 of the canonical text in hexadecimal digits.
pub fn hash(value: &Value) -> String {
    hex::digits(Sha256::digest(text(value)))
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            // The order of UTF-8 bytes is that of code points.
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(out, name);
                out.push(':');
                write(out, value);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    let text = serde_json::to_string(text).expect("a text can be written as JSON");
    out.push_str(&text);
}

fn write_number(out: &mut String, number: &Number) {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => write_float(out, float),
        None => write!(out, "{number}").expect("a string takes every text"),
    }
}

/// Writes a float as Python's `repr` does: the shortest digits, and an exponent of at least two digits where it has one.
fn write_float(out: &mut String, float: f64) {
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the format has an exponent");
    if (-4..16).contains(&exponent) {
        let plain = format!("{float}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs()).expect("a string takes every text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What CPython 3.11 prints for the same values.
    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (value, expected) in [
            (json!(0), "0"),
            (json!(-7), "-7"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(0.0), "0.0"),
            (json!(-0.0), "-0.0"),
            (json!(1.0), "1.0"),
            (json!(0.1), "0.1"),
            (json!(1.5e300), "1.5e+300"),
            (json!(1e15), "1000000000000000.0"),
            (json!(1e16), "1e+16"),
            (json!(123_456_789_012_345_680.0), "1.2345678901234568e+17"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1.234e-7), "1.234e-07"),
            (json!(5e-324), "5e-324"),
            (json!(f64::MAX), "1.7976931348623157e+308"),
            (json!(9_007_199_254_740_993.0), "9007199254740992.0"),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn keys_are_sorted_and_text_has_the_shortest_escapes() {
        let value = json!({"z": null, "é": true, "a": {"b": "\u{1}\n\"\\/\u{7f}\u{1f600}", "B": []}});
        let expected =
            "{\"a\":{\"B\":[],\"b\":\"\\u0001\\n\\\"\\\\/\u{7f}\u{1f600}\"},\"z\":null,\"é\":true}";
        assert_eq!(text(&value), expected);
    }

    #[test]
    fn the_hash_is_that_of_the_text() {
        assert_eq!(hash(&json!({})), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }
}
