//! The attributes of an event, extensions among them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::uri::is_uri_reference;
use crate::message::Headers;
use crate::message::headers::CE_PREFIX;
use crate::message::raw_envelope::RawEnvelope;
use crate::message::unusable::{Unusable, unusable};
use crate::store::FailureKind;
use crate::{Message, MessageId};

/// The version of CloudEvents that is read and written.
pub(super) const SPECVERSION: &str = "1.0";

/// The extension that holds what an extension cannot: metadata under other names and with other values, as a JSON object.
pub(super) const METADATA: &str = "metadata";

/// Attributes that are known here, and the names that metadata cannot take for extensions of their own.
pub(super) const RESERVED: [&str; 17] = [
    "specversion",
    "id",
    "type",
    "source",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
    "dataversion",
    "correlationid",
    "causationid",
    "partitionkey",
    "traceparent",
    "tracestate",
    METADATA,
];

/// The longest name of an attribute that is written: CloudEvents 1.0, 3.
const MAX_NAME: usize = 20;

/// Returns whether an attribute may be written under a name.
pub(super) fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_allowed)
}

/// Attributes by name. Those without a meaning here are extensions.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    specversion: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    event_type: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    dataversion: Option<Cow<'a, str>>,
    correlationid: Option<Cow<'a, str>>,
    causationid: Option<Cow<'a, str>>,
    partitionkey: Option<Cow<'a, str>>,
    metadata: Option<Cow<'a, str>>,
    /// Not for the envelope: they are read with the data.
    with_data: [Option<Cow<'a, str>>; 3],
    extensions: BTreeMap<String, Value>,
}

impl<'a> Attributes<'a> {
    /// Reads the attributes of a binary event.
    pub(super) fn of_headers(headers: &'a Headers) -> Result<Self, Unusable> {
        let mut attributes = Self::default();
        for (name, value) in headers.iter() {
            let Some(name) = name.strip_prefix(CE_PREFIX) else { continue };
            let Ok(text) = std::str::from_utf8(value) else {
                return Err(undecodable(format!("attribute {name:?} is not UTF-8")));
            };
            attributes.set_text(name, Cow::Borrowed(text));
        }
        Ok(attributes)
    }

    /// Sets an attribute to a text. Returns whether it had no value.
    pub(super) fn set_text(&mut self, name: &str, text: Cow<'a, str>) -> bool {
        match self.known(name) {
            Some(known) => known.replace(text).is_none(),
            None => self.extensions.insert(name.to_owned(), Value::String(text.into_owned())).is_none(),
        }
    }

    /// Sets an extension to another value than a text. Returns whether it had none.
    pub(super) fn set_value(&mut self, name: &str, value: Value) -> bool {
        self.extensions.insert(name.to_owned(), value).is_none()
    }

    /// Returns whether an attribute has to be a text.
    pub(super) fn is_known(&mut self, name: &str) -> bool {
        self.known(name).is_some()
    }

    fn known(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "type" => &mut self.event_type,
            "source" => &mut self.source,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "dataversion" => &mut self.dataversion,
            "correlationid" => &mut self.correlationid,
            "causationid" => &mut self.causationid,
            "partitionkey" => &mut self.partitionkey,
            METADATA => &mut self.metadata,
            "datacontenttype" => &mut self.with_data[0],
            "traceparent" => &mut self.with_data[1],
            "tracestate" => &mut self.with_data[2],
            _ => return None,
        })
    }

    fn check_required(&self) -> Result<(), Unusable> {
        match self.specversion.as_deref() {
            Some(SPECVERSION) => {}
            Some(_) => {
                return Err(undecodable("event is of another version of CloudEvents than 1.0".to_owned()));
            }
            None => return Err(undecodable("event has no attribute `specversion`".to_owned())),
        }
        match self.source.as_deref() {
            None | Some("") => Err(undecodable("event has no attribute `source`".to_owned())),
            Some(source) if !is_uri_reference(source) => Err(undecodable(
                "attribute `source` is not a URI reference: write only ASCII, and %20 for a space".to_owned(),
            )),
            Some(_) => Ok(()),
        }
    }

    /// Returns the attributes as fields of an envelope. The rest is metadata, the subject too unless it is the aggregate id.
    pub(super) fn into_envelope(self, message: &Message) -> Result<RawEnvelope<'a>, Unusable> {
        self.check_required()?;
        let occurred_at = self.time.map(|time| time.parse::<Timestamp>()).transpose().map_err(|_| {
            undecodable("attribute `time` is not a time with its zone, like 2026-01-31T23:59:59Z".to_owned())
        })?;
        let mut metadata = self.extensions;
        let mut related = |name: &str, text: Option<Cow<'a, str>>| match text {
            Some(text) if text.parse::<MessageId>().is_err() => {
                metadata.entry(name.to_owned()).or_insert(Value::String(text.into_owned()));
                None
            }
            text => text,
        };
        let correlation_id = related("correlationid", self.correlationid);
        let causation_id = related("causationid", self.causationid);
        if let Some(text) = self.metadata {
            match serde_json::from_str::<BTreeMap<String, Value>>(&text) {
                Ok(more) => more.into_iter().for_each(|(name, value)| {
                    metadata.entry(name).or_insert(value);
                }),
                Err(_) => drop(metadata.insert(METADATA.to_owned(), Value::String(text.into_owned()))),
            }
        }
        // The key of the message keeps the order where there is one.
        let key = message.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let key = self.partitionkey.or(key.map(|key| Cow::Owned(key.to_owned())));
        let aggregate_id = match (key, self.subject) {
            (Some(key), Some(subject)) => {
                if key != subject {
                    metadata.entry("subject".to_owned()).or_insert(Value::String(subject.into_owned()));
                }
                Some(key)
            }
            (key, subject) => key.or(subject),
        };
        Ok(RawEnvelope {
            event_id: self.id,
            event_type: self.event_type,
            aggregate_id,
            occurred_at,
            source: self.source,
            data_version: self.dataversion,
            correlation_id,
            causation_id,
            metadata: Some(metadata),
        })
    }
}

fn undecodable(text: String) -> Unusable {
    unusable(FailureKind::Undecodable, text)
}
