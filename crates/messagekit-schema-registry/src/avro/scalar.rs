//! Writes values that hold no others.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::types::{Type, Unit, UuidForm};
use super::{decimal, times};

/// Returns the bytes of a value that is no collection; `None` if it does not fit.
pub(super) fn scalar(of: &Type, value: &Value, is_default: bool) -> Option<Vec<u8>> {
    Some(match of {
        Type::Null => value.is_null().then(Vec::new)?,
        Type::Boolean => vec![u8::from(value.as_bool()?)],
        Type::Int => long(i64::from(i32::try_from(value.as_i64()?).ok()?)),
        Type::Long => long(value.as_i64()?),
        Type::Float => short_float(value)?.to_le_bytes().to_vec(),
        Type::Double => float(value)?.to_le_bytes().to_vec(),
        Type::Text => with_length(value.as_str()?.as_bytes()),
        Type::Enum(symbols) => {
            let symbol = value.as_str()?;
            long(i64::try_from(symbols.iter().position(|known| known == symbol)?).ok()?)
        }
        Type::Uuid(UuidForm::Text) => {
            let text = value.as_str()?;
            uuid::Uuid::parse_str(text).ok()?;
            with_length(text.as_bytes())
        }
        Type::Date => long(i64::from(match value.as_str() {
            Some(text) => times::days(text)?,
            None => i32::try_from(value.as_i64()?).ok()?,
        })),
        Type::TimeOfDay(unit) => {
            let count = number_or(value, |text| times::since_midnight(text, *unit))?;
            times::time_of_day(count, *unit).ok()?;
            match unit {
                Unit::Milliseconds => long(i64::from(i32::try_from(count).ok()?)),
                _ => long(count),
            }
        }
        Type::Timestamp(unit) => long(number_or(value, |text| times::since_1970(text, *unit))?),
        Type::LocalTimestamp(unit) => long(number_or(value, |text| times::local_since_1970(text, *unit))?),
        Type::Duration if !is_default => duration(value)?,
        _ => binary(of, value, is_default)?,
    })
}

/// Returns the bytes of a value that Avro holds as bytes.
fn binary(of: &Type, value: &Value, is_default: bool) -> Option<Vec<u8>> {
    let bytes = match of {
        _ if is_default => latin(value.as_str()?)?,
        Type::Bytes | Type::Fixed(_) => STANDARD.decode(value.as_str()?).ok()?,
        Type::Uuid(_) => uuid::Uuid::parse_str(value.as_str()?).ok()?.as_bytes().to_vec(),
        Type::Decimal(of) => decimal::write(&digits(value)?, *of)?,
        Type::BigDecimal => {
            let (unscaled, scale) = decimal::write_with_scale(&digits(value)?)?;
            [with_length(&unscaled), long(scale)].concat()
        }
        _ => return None,
    };
    let size = match of {
        Type::Fixed(size) => Some(*size),
        Type::Uuid(UuidForm::Fixed) => Some(16),
        Type::Duration => Some(12),
        Type::Decimal(of) => of.size,
        _ => None,
    };
    match size {
        Some(size) => (bytes.len() == size).then_some(bytes),
        None => Some(with_length(&bytes)),
    }
}

/// The digits that a number of JSON holds without a loss.
const SURE_DIGITS: usize = 15;

/// Returns the digits of a decimal number, which JSON may hold as a text or a number.
fn digits(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => {
            let text = number.to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            (!number.is_f64() || digits <= SURE_DIGITS).then_some(text)
        }
        _ => None,
    }
}

/// Returns the bytes of a text with a character per byte.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => value.as_f64(),
    }
}

/// Returns a number with the digits that a float holds; `None` for one that is larger than every float.
#[expect(clippy::cast_possible_truncation, reason = "the schema has chosen a float")]
fn short_float(value: &Value) -> Option<f32> {
    let number = float(value)?;
    Some(number as f32).filter(|short| short.is_finite() || !number.is_finite())
}

fn number_or(value: &Value, read: impl Fn(&str) -> Option<i64>) -> Option<i64> {
    match value.as_str() {
        Some(text) => read(text),
        None => value.as_i64(),
    }
}

fn duration(value: &Value) -> Option<Vec<u8>> {
    let object = value.as_object().filter(|object| object.len() == 3)?;
    let part = |name| u32::try_from(object.get(name)?.as_u64()?).ok().map(u32::to_le_bytes);
    Some([part("months")?, part("days")?, part("milliseconds")?].concat())
}

fn long(number: i64) -> Vec<u8> {
    let mut data = Vec::with_capacity(10);
    put_long(&mut data, number);
    data
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(bytes.len() + 10);
    put_bytes(&mut data, bytes);
    data
}

/// Writes a number in variable length and zigzag encoding.
pub(super) fn put_long(data: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        data.push((left & 0x7F) as u8 | 0x80);
        left >>= 7;
    }
    data.push(left as u8);
}

/// Writes a length, and as many bytes.
pub(super) fn put_bytes(data: &mut Vec<u8>, bytes: &[u8]) {
    put_long(data, i64::try_from(bytes.len()).expect("memory is smaller"));
    data.extend_from_slice(bytes);
}
