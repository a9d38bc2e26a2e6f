//! The end of a page of events, as one word.

use messagekit::operations::EventCursor;

/// Parses the cursor that the previous page has printed.
pub(super) fn cursor(text: &str) -> Result<EventCursor, String> {
    let parts = text.split_once('/');
    parts
        .and_then(|(time, id)| {
            Some(EventCursor { created_at: time.parse().ok()?, event_id: id.parse().ok()? })
        })
        .ok_or_else(|| "write what the page before has printed".to_owned())
}

pub(super) fn text(position: &EventCursor) -> String {
    format!("{}/{}", position.created_at, position.event_id)
}
