//! The forms in which events are written.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// How an outbox writes events. A consumer reads each of the forms, by content type and headers, so a topic may hold all of them.
/// Programs from before CloudEvents read another event in their place: replace consumers, bridges and relays first.
///
/// ```
/// use messagekit::WireForm;
///
/// assert_eq!("cloudevents-binary".parse::<WireForm>()?, WireForm::CloudEventsBinary);
/// assert_eq!(WireForm::default().to_string(), "messagekit");
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireForm {
    /// messagekit JSON: one flat object with the envelope's fields beside the event's own.
    #[default]
    Messagekit,
    /// CloudEvents 1.0 in one JSON document, of the content type `application/cloudevents+json`.
    CloudEventsStructured,
    /// CloudEvents 1.0 with the attributes as headers and the event alone as payload. The publisher takes the event apart: with
    /// Debezium in place of the relay, it stays structured.
    CloudEventsBinary,
}

const NAMES: [(WireForm, &str); 3] = [
    (WireForm::Messagekit, "messagekit"),
    (WireForm::CloudEventsStructured, "cloudevents-structured"),
    (WireForm::CloudEventsBinary, "cloudevents-binary"),
];

impl fmt::Display for WireForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(form, _)| form == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for WireForm {
    type Err = Error;

    /// Reads a form by the name that it prints.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for another name. A retry does not help.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(form, _)| *form).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            let text = format!("wire form {text:?} is not known: write one of {}", names.join(", "));
            Error::new(ErrorKind::InvalidConfiguration, text)
        })
    }
}
