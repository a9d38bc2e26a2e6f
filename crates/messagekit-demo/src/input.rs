//! Events from a file with one JSON object per line: `{"type": …, "key": …, "data": {…}}`.

use std::fs;
use std::path::Path;

use messagekit::adapter::{check_type, codec};
use messagekit::{Error, ErrorKind, Event};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::events::{Foreign, InvoiceAdjusted, InvoiceCancelled, InvoicePlaced, ShopEvent, foreign};
use crate::invoices::Invoice;
use crate::order_service::SERVICE;

/// Reports an invalid line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// The fault; it never contains a value of its data.
    pub reason: String,
}

/// The contents of a file.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) events: Vec<Invoice>,
    pub(crate) bad: Vec<BadLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads a file; records invalid lines and continues after them. Skips empty lines.
///
/// # Errors
/// Fails if the file cannot be read, or if no line of it is valid.
pub(crate) fn read(path: &Path) -> Result<Input, Error> {
    let bytes = fs::read(path).map_err(|error| {
        Error::new(ErrorKind::NotFound, "input cannot be read: name a file with one JSON object per line")
            .with("path", path.display())
            .caused_by(error)
    })?;
    let mut input = Input::default();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match event(line) {
            Ok(event) => input.events.push(Invoice { at: None, event }),
            Err(reason) => input.bad.push(BadLine { line: index + 1, reason }),
        }
    }
    if input.events.is_empty() {
        let text = match input.bad.first() {
            Some(bad) => format!("no line of the input can be used: line {}: {}", bad.line, bad.reason),
            None => "input is empty: write one {\"type\": …, \"key\": …, \"data\": {…}} per line".to_owned(),
        };
        return Err(Error::new(ErrorKind::InvalidEvent, text).with("path", path.display()));
    }
    Ok(input)
}

/// Parses a line and encodes it once, so that an event that the outbox would reject is reported with its line.
fn event(line: &[u8]) -> Result<ShopEvent, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to() + 1))?;
    if !text.trim_start().starts_with('{') {
        return Err("not a JSON object like {\"type\": …, \"key\": …, \"data\": {…}}".to_owned());
    }
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| describe(&error))?;
    check_type(&line.event_type).map_err(|error| error.to_string())?;
    let key = line.key;
    match line.event_type.as_str() {
        InvoicePlaced::TYPE => {
            let event = InvoicePlaced { customer: key, ..data(line.data)? };
            checked(&event)?;
            Ok(ShopEvent::Placed(event))
        }
        InvoiceCancelled::TYPE => {
            let event = InvoiceCancelled { customer: key, ..data(line.data)? };
            checked(&event)?;
            Ok(ShopEvent::Cancelled(event))
        }
        InvoiceAdjusted::TYPE => {
            let event = InvoiceAdjusted { customer: key, ..data(line.data)? };
            checked(&event)?;
            Ok(ShopEvent::Adjusted(event))
        }
        _ => {
            let data = Foreign(line.data.to_owned());
            let envelope = foreign(&line.event_type, key.as_deref(), data.clone());
            codec::encode(&envelope, SERVICE).map_err(|error| error.to_string())?;
            Ok(ShopEvent::Foreign { event_type: line.event_type, key, data })
        }
    }
}

fn data<E: DeserializeOwned>(data: &RawValue) -> Result<E, String> {
    if !data.get().starts_with('{') {
        return Err("data is not a JSON object".to_owned());
    }
    serde_json::from_str(data.get()).map_err(|error| format!("data: {}", describe(&error)))
}

fn checked<E: Event + Clone>(event: &E) -> Result<(), String> {
    codec::encode(&event.clone().into(), SERVICE).map(drop).map_err(|error| error.to_string())
}

/// Describes the fault of a JSON text without its values, which serde's messages quote.
fn describe(error: &serde_json::Error) -> String {
    // The position is inside the line, and the report names the line by its number.
    let text = error.to_string().replace(" at line 1 column ", " at column ");
    let quotes = ["invalid type: ", "invalid value: ", "invalid length "];
    match (quotes.iter().find(|quote| text.starts_with(**quote)), text.rfind("expected ")) {
        (Some(quote), Some(expected)) => {
            format!("{}, {}", quote.trim_end_matches([':', ' ']), &text[expected..])
        }
        (Some(quote), None) => quote.trim_end_matches([':', ' ']).to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACED: &str =
        r#"{"type":"shop.invoice.placed","key":"c-1","data":{"invoice":"i-1","totalPence":5}}"#;

    #[test]
    fn the_key_is_the_customer() {
        let event = event(PLACED.as_bytes()).unwrap();
        assert_eq!((event.key(), event.row()), (Some("c-1"), ("i-1", 5)));
    }

    #[test]
    fn another_type_is_carried_as_it_was_written() {
        let line = r#"{"type":"shop.parcel.sent","data":{"weight":123456789012345678901234567890}}"#;
        let ShopEvent::Foreign { data, .. } = event(line.as_bytes()).unwrap() else { panic!("known") };
        assert!(data.0.get().contains("123456789012345678901234567890"));
    }

    #[test]
    fn bad_lines_say_what_is_wrong_without_their_values() {
        for (line, reason) in [
            ("{", "EOF while parsing"),
            ("[1]", "not a JSON object"),
            ("\u{1}", "not a JSON object"),
            (r#"{"type":7,"data":{}}"#, "invalid type, expected a string at column 9"),
            (r#"{"type":"Placed","data":{}}"#, "is not two or more segments"),
            (r#"{"type":"shop.invoice.placed"}"#, "missing field `data`"),
            (r#"{"type":"shop.invoice.placed","data":{"invoice":"i"}}"#, "data: missing field `totalPence`"),
            (
                r#"{"type":"shop.invoice.placed","data":{"invoice":"i","totalPence":"secret"}}"#,
                "invalid type, expected i64",
            ),
            (r#"{"type":"shop.invoice.placed","data":7}"#, "data is not a JSON object"),
            (r#"{"type":"shop.parcel.sent","data":{"eventId":"x"}}"#, "envelope field"),
            (r#"{"type":"shop.parcel.sent","data":"text"}"#, "not a JSON object"),
            (r#"{"type":"shop.parcel.sent","Key":"k","data":{}}"#, "unknown field `Key`"),
        ] {
            let said = event(line.as_bytes()).unwrap_err();
            assert!(said.contains(reason), "{line}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
        assert!(event(b"\xff").unwrap_err().starts_with("not UTF-8 at byte 1"));
        let huge = format!(r#"{{"type":"shop.parcel.sent","data":{{"text":"{}"}}}}"#, "x".repeat(900_000));
        assert!(event(huge.as_bytes()).unwrap_err().contains("over the limit of 900000"));
    }
}
