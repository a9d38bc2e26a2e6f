//! An event of any wire form as a CloudEvent in binary form.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::cloud_events::{self, ReceivedForm, SENT_AS_BINARY, on_wire};
use super::codec::{ENVELOPE_FIELDS, data_of};
use super::headers::CONTENT_TYPE;
use super::{Envelope, Message, TraceContext, identify};
use crate::{Error, ErrorKind};

/// Returns an event of any wire form as a CloudEvent in binary form: its attributes are headers, and the payload is the data alone.
/// Publishers of data in another format than JSON begin with it.
///
/// # Errors
/// [`ErrorKind::Undecodable`] for a message that is no event, [`ErrorKind::InvalidEvent`] if its source is no URI reference, and
/// [`ErrorKind::TooLarge`] if its attributes do not fit into headers. A retry does not help.
///
/// ```
/// use messagekit::adapter::{as_binary, codec};
/// use messagekit::{Envelope, Event};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # struct OrderPlaced { order_id: String }
///
/// let message = codec::encode(&Envelope::new(OrderPlaced { order_id: "o-1".into() }), "shop")?;
/// let binary = as_binary(&message)?;
/// assert_eq!(&binary.payload[..], br#"{"order_id":"o-1"}"#);
/// assert_eq!(binary.headers.text("ce_source"), Some("shop"));
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn as_binary(message: &Message) -> Result<Message, Error> {
    let refused = |error: Cow<'static, str>| Error::new(ErrorKind::Undecodable, error);
    let sent = on_wire(std::slice::from_ref(message));
    let form = ReceivedForm::of(&sent[0]).map_err(|unusable| refused(unusable.0.error.into()))?;
    if form == ReceivedForm::Binary {
        return Ok(sent.into_owned().remove(0));
    }
    let meta = identify(message).map_err(|unusable| refused(unusable.0.error.into()))?;
    let data = match form {
        ReceivedForm::Messagekit => {
            let fields: Fields<'_> = serde_json::from_slice(&message.payload)
                .map_err(|_| refused("payload is not messagekit JSON".into()))?;
            Cow::Owned(serde_json::to_vec(&fields).expect("JSON values are JSON"))
        }
        ReceivedForm::Structured | ReceivedForm::Binary => data_of(message)?,
    };
    let headers = message.headers.free();
    let trace = TraceContext::among(message, &headers);
    let envelope = Envelope { meta, data: (), headers, trace: None, delivery: None };
    let (source, version) = (&envelope.source, &envelope.data_version);
    let mut payload = cloud_events::write(&envelope, source, version, trace.as_ref(), false)?;
    payload.extend_from_slice(&data);
    payload.push(b'}');
    let mut structured = message.clone();
    structured.payload = payload.into();
    structured.headers.set(CONTENT_TYPE, SENT_AS_BINARY);
    let binary = on_wire(std::slice::from_ref(&structured)).into_owned().remove(0);
    match cloud_events::is_structured(&binary) {
        false => Ok(binary),
        true => Err(Error::new(
            ErrorKind::TooLarge,
            "attributes of the event do not fit into headers: put less into its metadata",
        )),
    }
}

/// The fields of messagekit JSON that are data, as they are written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Fields<'de>, A::Error> {
                let mut found = Vec::new();
                while let Some((name, value)) = fields.next_entry::<String, &RawValue>()? {
                    if !ENVELOPE_FIELDS.contains(&&*name) {
                        found.push((name, value));
                    }
                }
                Ok(Fields(found))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
