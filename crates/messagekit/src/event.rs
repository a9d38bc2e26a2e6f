//! Defines events and the form of their types and topics.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};

use crate::message::Envelope;
use crate::{Error, ErrorKind};

/// Represents a domain fact that is sent as one JSON object.
///
/// Derive it: `#[derive(Event)]` checks names at compile time and derives the topic.
///
/// ```
/// use messagekit::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced {
///     order_id: String,
///     total_pence: i64,
/// }
///
/// assert_eq!(OrderPlaced::TOPIC, "orders.order");
/// let placed = OrderPlaced { order_id: "o-1".into(), total_pence: 995 };
/// assert_eq!(placed.key().as_deref(), Some("o-1"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "derive it: `#[derive(Event, Serialize, Deserialize)] #[event(type = \"area.noun.verb\", key = \"field\")]`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type on the wire, in the form that [`check_type`] accepts.
    const TYPE: &'static str;
    /// The topic it is published to. All events of one aggregate share a topic, which keeps their order.
    const TOPIC: &'static str;
    /// `MAJOR.MINOR` of the data; a consumer refuses a newer major version.
    const VERSION: &'static str = "1.0";
    /// The source of the event; the name of the outbox when absent.
    const SOURCE: Option<&'static str> = None;

    /// Returns the key whose events keep their order, or `None` if order does not matter.
    fn key(&self) -> Option<Cow<'_, str>>;

    /// Wraps the event as a consequence of `cause`. The causation id is the id of `cause`. The correlation id is that
    /// of `cause`, or its id if it starts the chain.
    fn follow<C>(self, cause: &Envelope<C>) -> Envelope<Self>
    where
        Self: Sized,
    {
        let mut envelope = Envelope::new(self);
        envelope.correlation_id = cause.correlation_id.clone().or_else(|| Some(cause.event_id.clone()));
        envelope.causation_id = Some(cause.event_id.clone());
        envelope
    }
}

/// Checks the form of an event type: two or more segments of `a-z 0-9 -` joined by dots, at most 200 bytes, each segment
/// beginning and ending with a letter or digit.
///
/// # Errors
/// Returns [`ErrorKind::InvalidEvent`] with the type and the violated rule. A retry does not help.
pub fn check_type(event_type: &str) -> Result<(), Error> {
    let segment = |segment: &str| {
        let bytes = segment.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
    };
    if event_type.len() <= 200 && event_type.contains('.') && event_type.split('.').all(segment) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidEvent,
        format!(
            "event type {:?} is not two or more segments of a-z 0-9 - joined by dots, like orders.order.placed",
            shorten(event_type)
        ),
    ))
}

/// Checks the form of a topic name: 1 to 249 characters of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
///
/// # Errors
/// Returns [`ErrorKind::InvalidEvent`] with the name. A retry does not help.
pub fn check_topic(topic: &str) -> Result<(), Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=249).contains(&topic.len()) && topic.bytes().all(legal) && topic != "." && topic != ".." {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidEvent,
        format!(
            "topic {:?} is not 1 to 249 characters of a-z A-Z 0-9 . _ -, like orders.order",
            shorten(topic)
        ),
    ))
}

/// Shortens an untrusted name for an error text.
fn shorten(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(80) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_two_or_more_plain_segments() {
        for good in ["a.b", "orders.order.placed", "shop-7.order2.paid-late", "a.b.c.d.e"] {
            assert!(check_type(good).is_ok(), "{good}");
        }
        let long = format!("a.{}", "b".repeat(199));
        for bad in
            ["", "a", "a.", ".a", "a..b", "A.b", "a.b_c", "a.b c", "a.-.-", "a.b-", "a.b\n", "ä.b", &long]
        {
            let error = check_type(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::InvalidEvent);
        }
    }

    #[test]
    fn topics_are_what_kafka_accepts() {
        for good in ["orders.order", "a", "A_b-9", &"t".repeat(249)] {
            assert!(check_topic(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ü", &"t".repeat(250)] {
            assert!(check_topic(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hostile_name_is_cut_in_the_error() {
        let error = check_topic(&"x ".repeat(10_000)).expect_err("spaces");
        assert!(error.to_string().len() < 250);
    }
}
