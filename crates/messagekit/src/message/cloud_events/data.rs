//! The data of a message as bytes of JSON.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::media_type::Format;
use super::received_form::{ReceivedForm, content_type};
use crate::message::json_error::describe;
use crate::{Error, ErrorKind, Message};

/// The data of an event without any: it may be a struct without fields.
const NO_DATA: &[u8] = b"{}";

/// Returns the data of a message: the payload, but for a structured event.
///
/// # Errors
/// [`ErrorKind::Undecodable`] if the data of a CloudEvent is not JSON.
pub(in crate::message) fn data_of(message: &Message, form: ReceivedForm) -> Result<Cow<'_, [u8]>, Error> {
    match form {
        ReceivedForm::Messagekit => Ok(Cow::Borrowed(&message.payload)),
        ReceivedForm::Binary => {
            check_is_json(content_type(message))?;
            Ok(Cow::Borrowed(if message.payload.is_empty() { NO_DATA } else { &message.payload }))
        }
        ReceivedForm::Structured => structured(&message.payload),
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
}

fn structured(payload: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let document: Document<'_> = serde_json::from_slice(payload)
        .map_err(|error| undecodable(format!("payload is not a CloudEvent in JSON: {}", describe(&error))))?;
    check_is_json(document.datacontenttype.as_deref())?;
    match (document.data, document.data_base64) {
        (Some(data), _) => Ok(Cow::Borrowed(data.get().as_bytes())),
        (None, Some(text)) => {
            let data = STANDARD.decode(text.as_bytes());
            data.map(Cow::Owned).map_err(|_| undecodable("member `data_base64` is not base64".to_owned()))
        }
        (None, None) => Ok(Cow::Borrowed(NO_DATA)),
    }
}

/// Refuses data in another format. An absent content type is JSON: CloudEvents JSON format, 3.1.
fn check_is_json(content_type: Option<&str>) -> Result<(), Error> {
    match content_type.is_none_or(|content_type| Format::of(content_type) == Format::Json) {
        true => Ok(()),
        false => {
            let text =
                "data of the event is not JSON by its content type: take it as `Message`, with `on_message`";
            Err(undecodable(text.to_owned()))
        }
    }
}

fn undecodable(text: String) -> Error {
    Error::new(ErrorKind::Undecodable, text)
}
