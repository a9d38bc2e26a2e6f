//! Writing a structured event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::attributes::{RESERVED, SPECVERSION, is_name};
use super::uri::{is_uri_reference, scheme_of};
use crate::message::{Envelope, TraceContext};
use crate::{Error, ErrorKind};

/// The most metadata that become extensions of their own: a message has a limited number of headers.
const MAX_EXTENSIONS: usize = 100;

/// The start of the year 1 in seconds of Unix time.
const YEAR_1: i64 = -62_135_596_800;

#[derive(Serialize)]
struct Written<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'a str,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataschema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: Timestamp,
    dataversion: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    #[serde(flatten)]
    extensions: BTreeMap<&'a str, &'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

/// Returns the attributes of an event as a JSON object, without its last brace, up to the start of the data.
///
/// `has_types` says whether an extension can be a number or a truth value: a header is a text.
///
/// # Errors
/// [`ErrorKind::InvalidEvent`] if the source is not one of CloudEvents.
pub(in crate::message) fn write<E>(
    envelope: &Envelope<E>,
    source: &str,
    data_version: &str,
    trace: Option<&TraceContext>,
    has_types: bool,
) -> Result<Vec<u8>, Error> {
    if !is_uri_reference(source) {
        let text = "source of the event is not a URI reference, which CloudEvents demand: write no spaces and only ASCII";
        return Err(Error::new(ErrorKind::InvalidEvent, text));
    }
    if envelope.occurred_at.as_second() < YEAR_1 {
        let text = "time of the event is before the year 1, which CloudEvents cannot write";
        return Err(Error::new(ErrorKind::InvalidEvent, text));
    }
    let aggregate_id = envelope.aggregate_id.as_deref();
    let mut rest: BTreeMap<&str, &Value> =
        envelope.metadata.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut take = |name: &str, fits: &dyn Fn(&str) -> bool| -> Option<&str> {
        let text = rest.get(name)?.as_str().filter(|text| is_text(text) && fits(text))?;
        rest.remove(name);
        Some(text)
    };
    // A subject without an aggregate id would be read as one.
    let subject = take("subject", &|subject| aggregate_id.is_some_and(|id| id != subject));
    let dataschema = take("dataschema", &|schema| is_uri_reference(schema) && scheme_of(schema).is_some());
    let mut extensions = BTreeMap::new();
    rest.retain(|name, value| {
        let is_own = extensions.len() < MAX_EXTENSIONS && is_extension(name, value, has_types);
        if is_own {
            extensions.insert(*name, *value);
        }
        !is_own
    });
    let written = Written {
        specversion: SPECVERSION,
        id: envelope.event_id.as_str(),
        source,
        r#type: &envelope.event_type,
        datacontenttype: crate::headers::JSON,
        dataschema,
        subject: subject.or(aggregate_id.filter(|id| is_text(id))),
        time: envelope.occurred_at,
        dataversion: data_version,
        correlationid: envelope.correlation_id.as_ref().map(|id| id.as_str()),
        causationid: envelope.causation_id.as_ref().map(|id| id.as_str()),
        traceparent: trace.map(TraceContext::traceparent),
        tracestate: trace.and_then(TraceContext::tracestate),
        extensions,
        metadata: (!rest.is_empty()).then(|| ascii_controls(&rest)),
    };
    let mut payload = Vec::with_capacity(512);
    serde_json::to_writer(&mut payload, &written).expect("texts and JSON values are JSON");
    payload.pop();
    payload.extend_from_slice(b",\"data\":");
    Ok(payload)
}

/// Returns whether a value can be an extension of its own: CloudEvents 1.0, 3.1.
fn is_extension(name: &str, value: &Value, has_types: bool) -> bool {
    let is_value = match value {
        Value::String(text) => is_text(text),
        Value::Bool(_) => has_types,
        Value::Number(number) => {
            has_types && number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
        }
        _ => false,
    };
    is_name(name) && is_value && !RESERVED.contains(&name)
}

/// Returns whether a text can be the value of an attribute: it is not empty, and has no character that CloudEvents exclude.
fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(is_excluded)
}

/// Control characters and those that Unicode assigns to no text.
fn is_excluded(character: char) -> bool {
    let code = character as u32;
    character.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// Returns JSON in which characters that an attribute must not have are escaped.
fn ascii_controls(metadata: &BTreeMap<&str, &Value>) -> String {
    let json = serde_json::to_string(metadata).expect("JSON values are JSON");
    if !json.contains(is_excluded) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        match is_excluded(character) {
            true => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
            false => escaped.push(character),
        }
    }
    escaped
}
