//! Formats of texts, no narrower than the Rust types that have them in their schemas.

use jiff::{SignedDuration, Span, Timestamp};
use jsonschema::ValidationOptions;
use uuid::Uuid;

/// Takes every spelling of a format that a type of Rust writes: a UUID without hyphens, a duration with fractions.
pub(super) fn lenient(options: ValidationOptions<'_>) -> ValidationOptions<'_> {
    options
        .with_format("uuid", |text: &str| Uuid::try_parse(text).is_ok())
        .with_format("date-time", |text: &str| text.parse::<Timestamp>().is_ok())
        .with_format("duration", |text: &str| {
            text.parse::<Span>().is_ok() || text.parse::<SignedDuration>().is_ok()
        })
}
