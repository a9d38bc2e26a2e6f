//! The events that led to an event.

use serde::Serialize;

use super::headers::{CAUSATION_ID, CORRELATION_ID, REPLAY_OF};
use super::{Headers, MessageId, Meta};

/// The ids that tie an event to others.
///
/// The outbox hands them to its store in headers of their own, because no store reads a payload. A store
/// takes them out and keeps them where they can be looked up: no broker and no reader of a log sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventLinks {
    /// The first event of the chain.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub correlation_id: Option<MessageId>,
    /// The event that led to this one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub causation_id: Option<MessageId>,
    /// The event that this one republishes under a new id.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub replay_of: Option<MessageId>,
}

impl EventLinks {
    /// Returns the links of an envelope.
    pub(crate) fn of_envelope(meta: &Meta) -> Self {
        Self {
            correlation_id: meta.correlation_id.clone(),
            causation_id: meta.causation_id.clone(),
            replay_of: None,
        }
    }

    /// Reads the links among headers. What is no id of a message is no link.
    pub fn of(headers: &Headers) -> Self {
        let id = |name| headers.text(name).and_then(|text| text.parse().ok());
        Self { correlation_id: id(CORRELATION_ID), causation_id: id(CAUSATION_ID), replay_of: id(REPLAY_OF) }
    }

    /// Removes the links from headers and returns them.
    pub fn take(headers: &mut Headers) -> Self {
        let links = Self::of(headers);
        for name in [CORRELATION_ID, CAUSATION_ID, REPLAY_OF] {
            headers.remove(name);
        }
        links
    }

    /// Adds the links to headers, for the store that writes the event.
    pub fn add_to(&self, headers: &mut Headers) {
        let links = [
            (CORRELATION_ID, &self.correlation_id),
            (CAUSATION_ID, &self.causation_id),
            (REPLAY_OF, &self.replay_of),
        ];
        for (name, id) in links {
            if let Some(id) = id {
                headers.set(name, id.as_str().to_owned());
            }
        }
    }

    /// Returns the links of a republication of the event `id`, whose links these are.
    #[must_use]
    pub fn of_republication(self, id: &MessageId) -> Self {
        Self { replay_of: Some(id.clone()), ..self }
    }

    /// Returns whether the event stands alone.
    pub fn is_empty(&self) -> bool {
        self.correlation_id.is_none() && self.causation_id.is_none() && self.replay_of.is_none()
    }

    /// Returns whether a header carries a link.
    pub fn is_header(name: &str) -> bool {
        [CORRELATION_ID, CAUSATION_ID, REPLAY_OF].contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers;

    #[test]
    fn links_leave_the_other_headers_alone() {
        let links = EventLinks {
            correlation_id: Some("m-1".parse().unwrap()),
            causation_id: Some("m-2".parse().unwrap()),
            replay_of: None,
        };
        let mut carried = Headers::new();
        carried.set(headers::ID, "m-3");
        let alone = carried.clone();
        links.add_to(&mut carried);
        assert_eq!(carried.len(), 3);
        assert_eq!(EventLinks::take(&mut carried), links);
        assert_eq!(carried, alone);
        assert!(EventLinks::of(&carried).is_empty());
    }

    #[test]
    fn a_header_that_is_no_id_is_no_link() {
        let mut carried = Headers::new();
        carried.set(CAUSATION_ID, "\u{1}");
        assert!(EventLinks::take(&mut carried).is_empty());
        assert!(carried.is_empty(), "and no reader sees it");
    }
}
