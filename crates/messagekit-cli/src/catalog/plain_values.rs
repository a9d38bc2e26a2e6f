//! Numbers and texts for samples, and samples of two schemas at once.

use serde_json::{Map, Number, Value};

/// Returns a number within the bounds of a schema, if they allow one.
pub(super) fn number(fields: &Map<String, Value>, is_integer: bool) -> Option<Value> {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(if is_integer { 1.0 } else { 0.5 });
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|bound| bound + step));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|bound| bound - step));
    let wished = if is_integer { 1.0_f64 } else { 1.5 };
    let near = wished.max(least.unwrap_or(wished)).min(most.unwrap_or(f64::MAX));
    let value =
        if least.is_some_and(|least| near <= least) { (near / step).ceil() } else { (near / step).floor() }
            * step;
    let exact = is_integer && value.abs() < 9e15;
    #[allow(clippy::cast_possible_truncation, reason = "it is a whole number below 2^53")]
    if exact { Some(Value::from(value as i64)) } else { Number::from_f64(value).map(Value::Number) }
}

/// Returns a text of the format and length that a schema asks for.
pub(super) fn text(fields: &Map<String, Value>) -> String {
    let formatted = match fields.get("format").and_then(Value::as_str).unwrap_or_default() {
        "date-time" => "2026-01-31T12:00:00Z",
        "date" => "2026-01-31",
        "time" => "12:00:00Z",
        "duration" => "PT1H",
        "uuid" => "01981d2f-6b7e-7c11-9f2e-6f0f3c2b9a01",
        "email" | "idn-email" => "someone@example.org",
        "uri" | "url" | "iri" | "uri-reference" => "https://example.org/",
        "hostname" => "example.org",
        "ip" | "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "byte" | "base64" => "dGV4dA==",
        "decimal" => "1.50",
        _ => "text",
    };
    let length =
        |name: &str| fields.get(name).and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    let (least, most) =
        (length("minLength").unwrap_or(0).min(10_000), length("maxLength").unwrap_or(usize::MAX));
    let count = formatted.len().max(least).min(most);
    formatted.chars().cycle().take(count).collect()
}

/// Returns how many values a value has, itself included.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// Returns a value for two schemas that hold at once.
pub(super) fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (one, _) => one,
    }
}
