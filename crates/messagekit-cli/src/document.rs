//! Parts of a document of the admin, printable.

use serde_json::Value;

use crate::output::printable;

/// Returns a text of a document, printable; empty without one.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Object(fields) => match (fields.get("text"), fields.get("base64")) {
            (Some(text), _) => self::text(text),
            (None, Some(bytes)) => format!("base64 {}", self::text(bytes)),
            _ => printable(&value.to_string()),
        },
        other => printable(&other.to_string()),
    }
}

/// Returns the entries of a list.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(text(&json!({"text": "a\u{1b}[31m"})), "a\u{fffd}[31m");
        assert_eq!(text(&json!({"base64": "/w=="})), "base64 /w==");
    }
}
