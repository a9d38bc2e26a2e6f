//! The check of records against a schema, as strict as programs with types read them.
//!
//! JSON Schema takes `1.0` for an integer, and gives the formats of integers no range. A program whose field is an `i64` reads neither `1.0`
//! nor what is greater, so one such record would end its reading.

use jsonschema::paths::Location;
use jsonschema::{Draft, Keyword, ValidationError, Validator};
use serde_json::{Map, Value};

/// Returns the validator of a schema of draft 2020-12.
///
/// # Errors
/// What is wrong with the schema.
pub(crate) fn validator(schema: &Value) -> Result<Validator, ValidationError<'_>> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_keyword("type", types)
        .with_keyword("format", format)
        .build(schema)
}

type Check = Box<dyn for<'i> Keyword<'i>>;

fn types<'a>(_: &'a Map<String, Value>, types: &'a Value, _: Location) -> Result<Check, ValidationError<'a>> {
    let types = match types {
        Value::Array(types) => types.clone(),
        only => vec![only.clone()],
    };
    let has_one =
        move |value: &Value| types.iter().filter_map(Value::as_str).any(|name| has_type(name, value));
    Ok(Box::new(Rule { holds: has_one, broken: "value has another type" }))
}

/// Formats of texts say what a text means, and refuse none.
fn format<'a>(
    _: &'a Map<String, Value>,
    format: &'a Value,
    _: Location,
) -> Result<Check, ValidationError<'a>> {
    let format = format.as_str().unwrap_or_default().to_owned();
    let is_in_range = move |value: &Value| is_in_range(&format, value);
    Ok(Box::new(Rule { holds: is_in_range, broken: "integer is out of range" }))
}

/// What a keyword requires of a value.
struct Rule<F> {
    holds: F,
    broken: &'static str,
}

impl<'i, F: Fn(&Value) -> bool + Send + Sync> Keyword<'i> for Rule<F> {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        if (self.holds)(value) { Ok(()) } else { Err(ValidationError::custom(self.broken)) }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        (self.holds)(value)
    }
}

fn has_type(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("integer", Value::Number(number)) => !number.is_f64(),
        ("number", Value::Number(_))
        | ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        _ => false,
    }
}

fn is_in_range(format: &str, value: &Value) -> bool {
    let wide = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    let Some(integer) = wide else { return true };
    match format {
        "int8" => fits::<i8>(integer),
        "int16" => fits::<i16>(integer),
        "int32" => fits::<i32>(integer),
        "int64" | "int" => fits::<i64>(integer),
        "uint8" => fits::<u8>(integer),
        "uint16" => fits::<u16>(integer),
        "uint32" => fits::<u32>(integer),
        "uint64" | "uint" => fits::<u64>(integer),
        _ => true,
    }
}

fn fits<T: TryFrom<i128>>(integer: i128) -> bool {
    T::try_from(integer).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_valid(schema: &Value, value: &Value) -> bool {
        let validator = validator(schema).unwrap();
        let is_valid = validator.is_valid(value);
        assert_eq!(validator.iter_errors(value).next().is_none(), is_valid, "{schema} {value}");
        is_valid
    }

    #[test]
    fn an_integer_is_written_without_a_fraction() {
        let schema = json!({"type": "integer"});
        for (value, expected) in [
            (json!(1), true),
            (json!(-1), true),
            (json!(u64::MAX), true),
            (json!(1.0), false),
            (json!(-0.0), false),
            (json!(1e300), false),
            (json!(1.5), false),
            (json!("1"), false),
            (json!(null), false),
        ] {
            assert_eq!(is_valid(&schema, &value), expected, "{value}");
        }
        for value in [json!(1.0), json!(1), json!(1e300)] {
            assert!(is_valid(&json!({"type": "number"}), &value), "{value}");
            assert!(is_valid(&json!({"type": ["integer", "number", "null"]}), &value), "{value}");
        }
        assert!(is_valid(&json!({"type": ["integer", "null"]}), &json!(null)));
        assert!(!is_valid(&json!({"type": ["integer", "null"]}), &json!(1.0)));
    }

    #[test]
    fn an_integer_is_in_the_range_of_its_format() {
        for (format, value, expected) in [
            ("int64", json!(i64::MAX), true),
            ("int64", json!(i64::MAX as u64 + 1), false),
            ("int32", json!(i32::MIN), true),
            ("int32", json!(i64::from(i32::MIN) - 1), false),
            ("uint64", json!(u64::MAX), true),
            ("uint64", json!(-1), false),
            ("uint8", json!(256), false),
            ("double", json!(1e300), true),
            ("date-time", json!("no time"), true),
            ("of-another-program", json!(7), true),
        ] {
            assert_eq!(is_valid(&json!({ "format": format }), &value), expected, "{format} {value}");
        }
    }

    #[test]
    fn every_other_type_is_that_of_the_value() {
        let values = [json!(null), json!(true), json!("a"), json!([]), json!({}), json!(0.5)];
        let names = ["null", "boolean", "string", "array", "object", "number"];
        for (at, value) in values.iter().enumerate() {
            for (of, name) in names.iter().enumerate() {
                assert_eq!(is_valid(&json!({ "type": name }), value), at == of, "{name} {value}");
            }
        }
        assert!(validator(&json!({"type": "text"})).is_err());
    }
}
