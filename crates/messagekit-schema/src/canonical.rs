//! The bytes of a JSON value over which programs in every language compute the same hash.
//!
//! Keys are sorted by code point, there are no blanks, and text is UTF-8 with the shortest escapes: what Python's `json.dumps`
//! writes with `sort_keys=True`, `ensure_ascii=False` and `separators=(",", ":")`. Numbers are written as Python writes them: the
//! shortest digits that read back the same, with an exponent below 0.0001 and from 10¹⁶ on. A number that a 64-bit float cannot hold
//! keeps all of its digits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::decimal::Decimal;

/// Returns the canonical text of a value.
///
/// ```
/// use messagekit_schema::canonical;
/// use serde_json::json;
///
/// assert_eq!(canonical::text(&json!({"b": 1.0, "a": [1e16, "é"]})), r#"{"a":[1e+16,"é"],"b":1.0}"#);
/// ```
pub fn text(value: &Value) -> String {
    Json::of(value).text()
}

/// Returns the SHA-256 of the canonical text in hexadecimal digits.
pub fn hash(value: &Value) -> String {
    hash_of(&text(value))
}

/// Returns the SHA-256 of a text in hexadecimal digits.
pub fn hash_of(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// A JSON value whose numbers keep the digits that they are written with.
///
/// ```
/// use messagekit_schema::canonical::Json;
///
/// let price = Json::read(r#"{"price": 12345678901234567890.10, "n": 5.0}"#)?;
/// assert_eq!(price.text(), r#"{"n":5.0,"price":12345678901234567890.1}"#);
/// assert_eq!(price.field("n").map(Json::equal_text).as_deref(), Some("5"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// Null, a truth value or a number, as it is written.
    Plain(Cow<'a, str>),
    /// A text, without quotes and escapes.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object. Of two fields of one name the last counts.
    Object(BTreeMap<Cow<'a, str>, Json<'a>>),
}

/// What a number is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// As Python writes it: `5.0` is a float, `5` an integer.
    Apart,
    /// As equal numbers: both are `5`.
    Equal,
}

impl<'a> Json<'a> {
    /// Takes a value over.
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Plain("null".into()),
            Value::Bool(true) => Self::Plain("true".into()),
            Value::Bool(false) => Self::Plain("false".into()),
            Value::Number(number) => Self::Plain(number.to_string().into()),
            Value::String(text) => Self::Text(text.into()),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(fields) => {
                Self::Object(fields.iter().map(|(name, value)| (name.into(), Self::of(value))).collect())
            }
        }
    }

    /// Returns whether the value is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Returns a field of an object.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// Returns the canonical text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, Numbers::Apart);
        text
    }

    /// Returns a text that is the same for equal values: as the canonical one, but `5`, `5.0` and `5e0` are `5`.
    pub fn equal_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, Numbers::Equal);
        text
    }

    fn write(&self, out: &mut String, numbers: Numbers) {
        match self {
            Self::Plain(text) => match (text.as_bytes()[0], numbers) {
                (b'n' | b't' | b'f', _) => out.push_str(text),
                (_, Numbers::Apart) => write_number(out, text),
                (_, Numbers::Equal) => write_equal_number(out, text),
            },
            Self::Text(text) => write_text(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out, numbers);
                }
                out.push(']');
            }
            // The order of UTF-8 bytes is that of code points.
            Self::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(out, name);
                    out.push(':');
                    value.write(out, numbers);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    let text = serde_json::to_string(text).expect("a text can be written as JSON");
    out.push_str(&text);
}

/// Writes a number as Python writes the same one.
fn write_number(out: &mut String, text: &str) {
    // JSON has a negative zero; Python's integers have not, and those of Rust neither.
    if text != "-0" && !text.contains(['.', 'e', 'E']) {
        return out.push_str(text);
    }
    match exact_float(text) {
        Some(float) => write_float(out, float),
        None => write!(out, "{}", Decimal::of(text)).expect("a string takes every text"),
    }
}

/// The most digits of an integer that is written without an exponent: those of the greatest `u64`, and some.
const MAX_INTEGER_DIGITS: i64 = 21;

fn write_equal_number(out: &mut String, text: &str) {
    let decimal = Decimal::of(text);
    match (decimal.integer(MAX_INTEGER_DIGITS), exact_float(text)) {
        (Some(integer), _) => out.push_str(&integer),
        (None, Some(float)) => write_float(out, float),
        (None, None) => write!(out, "{decimal}").expect("a string takes every text"),
    }
}

/// Returns the 64-bit float whose shortest digits are these.
fn exact_float(text: &str) -> Option<f64> {
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    (Decimal::of(&format!("{float:e}")) == Decimal::of(text)).then_some(float)
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
    fn a_number_that_no_float_holds_keeps_its_digits() {
        for (given, expected) in [
            ("12345678901234567890.123456789", "12345678901234567890.123456789"),
            ("0.12345678901234567890123", "0.12345678901234567890123"),
            ("-1.10", "-1.1"),
            ("1.500000000000000000000000000001", "1.500000000000000000000000000001"),
            ("100000000000000000000000000000001", "100000000000000000000000000000001"),
            ("1e400", "1e+400"),
            ("-12.5E-400", "-1.25e-399"),
            ("9007199254740993.0", "9007199254740993"),
            ("5e0", "5.0"),
            ("5", "5"),
            ("-0", "-0.0"),
        ] {
            assert_eq!(Json::read(given).unwrap().text(), expected, "{given}");
        }
    }

    #[test]
    fn equal_numbers_have_one_text() {
        for (equal, expected) in [
            (&["5", "5.0", "5e0", "0.5e1", "50E-1"][..], "5"),
            (&["0", "-0", "0.0", "-0.0", "0e7"], "0"),
            (&["0.1", "1e-1", "0.10"], "0.1"),
            (&["1e-7", "0.0000001"], "1e-07"),
            (&["1e16", "10000000000000000", "1.0E+16"], "10000000000000000"),
            (&["1e300", "10e299"], "1e+300"),
            (&["1e400", "10e399", "0.1e401"], "1e+400"),
            (&["18446744073709551615", "18446744073709551615.0"], "18446744073709551615"),
            (&["12345678901234567890.10", "1234567890123456789010e-2"], "12345678901234567890.1"),
        ] {
            for given in equal {
                assert_eq!(Json::read(given).unwrap().equal_text(), expected, "{given}");
            }
        }
        let nested = Json::read(r#"{"b":[5.0,{"a":1e0}],"a":true}"#).unwrap();
        assert_eq!(nested.equal_text(), r#"{"a":true,"b":[5,{"a":1}]}"#);
    }

    #[test]
    fn a_value_and_its_text_are_the_same() {
        for text in [
            "{\"\\u00e9\\n\":[null,true,false,\"\\ud83d\\ude00\"]}",
            " { \"a\" : [ 1 , -2.5e3 ] , \"a\" : {} } ",
            "\"x\"",
            "[]",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Json::read(text).unwrap(), Json::of(&value), "{text}");
        }
        for text in ["", "{", "[1,]", "NaN", "01", "\"\\ud800\"", "[\"\\udfff\"]"] {
            assert!(Json::read(text).is_err(), "{text}");
        }
        for depth in [127, 128, 100_000] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(Json::read(&text).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{depth}");
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
