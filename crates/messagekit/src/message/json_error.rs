//! The text of an error in a payload.

/// Describes a JSON error without values: serde's own messages repeat them.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let quotes_a_value = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "]
        .iter()
        .find(|prefix| text.starts_with(**prefix));
    let names_only = ["missing field `", "duplicate field `"].iter().any(|prefix| text.starts_with(prefix));
    match (quotes_a_value, text.rfind(", expected ")) {
        (Some(prefix), Some(expected)) => {
            format!("{}{}", prefix.trim_end().trim_end_matches(':'), &text[expected..])
        }
        _ if names_only || !error.is_data() => text,
        _ => format!("value refused at line {} column {}", error.line(), error.column()),
    }
}
