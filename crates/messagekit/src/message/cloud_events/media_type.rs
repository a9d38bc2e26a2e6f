//! What a content type says of a payload.

/// The content type of a structured event.
pub(in crate::message) const STRUCTURED: &str = "application/cloudevents+json";

/// The content type of a structured event that a publisher sends in the binary form. A reader that does not know the
/// parameter, such as one behind Debezium, reads a structured event.
pub(in crate::message) const SENT_AS_BINARY: &str = "application/cloudevents+json; mode=binary";

/// The format of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    CloudEventsJson { is_sent_as_binary: bool },
    CloudEventsBatch,
    CloudEventsOther,
    Other,
}

impl Format {
    /// Reads a media type: case and parameters do not matter (RFC 9110, 8.3.1), but for the parameter of our own.
    pub(super) fn of(content_type: &str) -> Self {
        let mut parts = content_type.split(';').map(str::trim);
        let is = |found: &str, wanted: &str| found.eq_ignore_ascii_case(wanted);
        let media_type = parts.next().unwrap_or_default();
        let begins = |prefix: &str| media_type.get(..prefix.len()).is_some_and(|found| is(found, prefix));
        if is(media_type, STRUCTURED) {
            let is_sent_as_binary = parts.any(|part| is(part, "mode=binary"));
            return Self::CloudEventsJson { is_sent_as_binary };
        }
        if begins("application/cloudevents-batch") {
            return Self::CloudEventsBatch;
        }
        if begins("application/cloudevents") {
            return Self::CloudEventsOther;
        }
        let ends_in_json = media_type.len() >= 5
            && media_type.is_char_boundary(media_type.len() - 5)
            && is(&media_type[media_type.len() - 5..], "+json");
        match is(media_type, "application/json") || is(media_type, "text/json") || ends_in_json {
            true => Self::Json,
            false => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_parameters_of_a_media_type_do_not_matter() {
        let structured = |is_sent_as_binary| Format::CloudEventsJson { is_sent_as_binary };
        for (text, format) in [
            ("application/cloudevents+json", structured(false)),
            ("Application/CloudEvents+JSON; charset=UTF-8", structured(false)),
            (" application/cloudevents+json ;charset=utf-8; mode=binary", structured(true)),
            (SENT_AS_BINARY, structured(true)),
            ("application/cloudevents-batch+json", Format::CloudEventsBatch),
            ("application/cloudevents", Format::CloudEventsOther),
            ("application/cloudevents+avro", Format::CloudEventsOther),
            ("application/json", Format::Json),
            ("application/JSON;charset=utf-8", Format::Json),
            ("application/vnd.shop.order+json", Format::Json),
            ("text/json", Format::Json),
            ("text/plain", Format::Other),
            ("json", Format::Other),
            ("", Format::Other),
            ("ä+jso", Format::Other),
        ] {
            assert_eq!(Format::of(text), format, "{text:?}");
        }
    }
}
