//! Reading a structured event: one JSON object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::attributes::Attributes;
use crate::message::headers::TraceContext;
use crate::message::json_error::describe;
use crate::message::json_text::JsonText;
use crate::message::unusable::{Unusable, check_object, unusable};
use crate::store::FailureKind;

/// Reads the attributes, and not the data.
pub(super) fn attributes(payload: &[u8]) -> Result<Attributes<'_>, Unusable> {
    check_object(payload)?;
    serde_json::from_slice(payload).map_err(|error| {
        let text = match error.is_data() && error.to_string().starts_with(REFUSED) {
            true => error.to_string(),
            false => describe(&error),
        };
        unusable(FailureKind::Undecodable, format!("payload is not a CloudEvent in JSON: {text}"))
    })
}

/// Reads the context of the trace.
pub(super) fn trace(payload: &[u8]) -> Option<TraceContext> {
    #[derive(Deserialize)]
    struct Traced<'a> {
        #[serde(borrow)]
        traceparent: Option<Cow<'a, str>>,
        #[serde(borrow)]
        tracestate: Option<Cow<'a, str>>,
    }
    let Traced { traceparent, tracestate } = serde_json::from_slice(payload).ok()?;
    TraceContext::of_texts(&traceparent?, tracestate.as_deref())
}

/// How an error begins that names no value of the payload.
const REFUSED: &str = "attribute ";

impl<'de> Deserialize<'de> for Attributes<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Attributes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Attributes<'de>, A::Error> {
                let (mut attributes, mut data) = (Attributes::default(), 0);
                while let Some(JsonText(name)) = members.next_key()? {
                    let is_new = if name == "data" || name == "data_base64" {
                        members.next_value::<IgnoredAny>()?;
                        data += 1;
                        data == 1
                    } else {
                        set(&mut attributes, &name, members.next_value()?)?
                    };
                    if !is_new {
                        // A reader that takes the first and one that takes the last would see two events.
                        return Err(A::Error::custom(format_args!("{REFUSED}or data is given twice")));
                    }
                }
                Ok(attributes)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Sets an attribute to a value. Returns whether it had none.
fn set<'a, E: serde::de::Error>(
    attributes: &mut Attributes<'a>,
    name: &str,
    value: &'a RawValue,
) -> Result<bool, E> {
    let json = value.get();
    match json.as_bytes().first() {
        // As if it were absent: CloudEvents JSON format, 2.2.
        Some(b'n') => Ok(true),
        Some(b'"') => {
            let JsonText(text) = serde_json::from_str(json).map_err(E::custom)?;
            Ok(attributes.set_text(name, text))
        }
        _ if attributes.is_known(name) => Err(E::custom(format_args!("{REFUSED}`{name}` is not a text"))),
        _ => Ok(attributes.set_value(name, serde_json::from_str(json).map_err(E::custom)?)),
    }
}
