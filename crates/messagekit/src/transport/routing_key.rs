//! Creates a routing key from the content of a message.

use std::borrow::Cow;
use std::fmt;

use super::routing_fields::RoutingFields;
use crate::{Error, ErrorKind, Message};

/// Represents a template of a routing key: text with `{name}` placeholders.
///
/// A name is resolved in this order: `topic` (of the source) and `key` (of the record); a header; a top-level text
/// field of a JSON payload, in both spellings (`eventType`, `event_type`). Of a CloudEvent these are its attributes under the
/// names of the envelope (`aggregateId` is `subject`), the fields of its data, then its other attributes. `{{` and `}}` are
/// literal braces.
///
/// ```
/// use messagekit::adapter::RoutingKey;
/// use messagekit::Message;
///
/// let template: RoutingKey = "shop.{region}.{event_type}".parse()?;
/// let placed = Message::new("orders.order", r#"{"eventType": "orders.order.placed"}"#).with_header("region", "north");
/// assert_eq!(template.of(&placed, "orders.order")?, "shop.north.orders.order.placed");
/// assert!(template.of(&Message::new("orders.order", "{}"), "orders.order").is_err());
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RoutingKey {
    template: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Topic,
    Key,
    Type,
    Named { name: String, other_spelling: String },
}

impl RoutingKey {
    /// Returns the routing key of a message from `source_topic`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`] if a value of the template is missing, empty or not text. A retry does not help.
    pub fn of(&self, message: &Message, source_topic: &str) -> Result<String, Error> {
        let mut fields = None;
        let mut made = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => made.push_str(text),
                part => made.push_str(
                    &value(part, message, source_topic, &mut fields)
                        .filter(|value| !value.is_empty())
                        .ok_or_else(|| self.missing(part))?,
                ),
            }
        }
        Ok(made)
    }

    fn missing(&self, part: &Part) -> Error {
        let name = match part {
            Part::Key => "key",
            Part::Type => "eventType",
            Part::Named { name, .. } => name,
            Part::Text(_) | Part::Topic => "topic",
        };
        let text = format!("routing key {self} needs {name:?}, which the message does not have as text");
        Error::new(ErrorKind::NotFound, text)
    }
}

fn value<'a>(
    part: &Part,
    message: &'a Message,
    source_topic: &'a str,
    fields: &mut Option<RoutingFields<'a>>,
) -> Option<Cow<'a, str>> {
    let mut field = |names| fields.get_or_insert_with(|| RoutingFields::of(message)).text(names);
    match part {
        Part::Text(_) => None,
        Part::Topic => Some(Cow::Borrowed(source_topic)),
        Part::Key => std::str::from_utf8(message.key.as_deref()?).ok().map(Cow::Borrowed),
        Part::Type => match message.event_type() {
            Some(found) => Some(Cow::Borrowed(found)),
            None => field(["eventType", "event_type"]).or_else(|| field(["type", "type"])).map(Cow::Owned),
        },
        Part::Named { name, other_spelling } => match message.headers.text(name) {
            Some(found) => Some(Cow::Borrowed(found)),
            None => field([name, other_spelling]).map(Cow::Owned),
        },
    }
}

impl std::str::FromStr for RoutingKey {
    type Err = Error;

    /// Parses a template.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] if it is empty, has an unpaired brace, or has an empty name.
    fn from_str(template: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| {
            let text = format!("routing key {template:?} {problem}");
            Err(Error::new(ErrorKind::InvalidConfiguration, text))
        };
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = behind;
                continue;
            }
            let end = rest.find(['{', '}']).filter(|end| brace == "{" && rest[*end..].starts_with('}'));
            let Some(end) = end else {
                return wrong(
                    "has a brace that stands alone: write {name} for a value, {{ or }} for a brace",
                );
            };
            if rest[..end].is_empty() {
                return wrong("has {} without a name: name a header or a field, as in {eventType}");
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(named(&rest[..end]));
            rest = &rest[end + 1..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if parts.is_empty() {
            return wrong("is empty: write for example {eventType}");
        }
        Ok(Self { template: template.to_owned(), parts })
    }
}

fn named(name: &str) -> Part {
    match name {
        "topic" => Part::Topic,
        "key" => Part::Key,
        "eventType" | "event_type" => Part::Type,
        name => Part::Named { name: name.to_owned(), other_spelling: other_spelling(name) },
    }
}

/// Converts `tenant_id` to `tenantId` and back.
fn other_spelling(name: &str) -> String {
    let mut spelled = String::with_capacity(name.len() + 4);
    let mut raise = false;
    let snake = name.contains('_');
    for character in name.chars() {
        match character {
            '_' if !spelled.is_empty() => raise = true,
            character if raise => {
                spelled.extend(character.to_uppercase());
                raise = false;
            }
            character if !snake && character.is_uppercase() && !spelled.is_empty() => {
                spelled.push('_');
                spelled.extend(character.to_lowercase());
            }
            character => spelled.push(character),
        }
    }
    spelled
}

impl fmt::Display for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.template)
    }
}

impl fmt::Debug for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.template, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(template: &str, message: &Message) -> Option<String> {
        template.parse::<RoutingKey>().unwrap().of(message, "orders.order").ok()
    }

    #[test]
    fn values_come_from_topic_key_headers_and_the_payload() {
        let message = Message::new(
            "x",
            r#"{"event_type": "a.b", "tenantId": "t", "region": "body", "pence": 3, "empty": ""}"#,
        )
        .with_key("k")
        .with_header("region", "north");
        for (template, expected) in [
            ("{topic}/{key}", Some("orders.order/k")),
            ("{eventType}", Some("a.b")),
            ("{event_type}", Some("a.b")),
            ("{tenant_id}.{tenantId}", Some("t.t")),
            ("{region}", Some("north")),
            ("all", Some("all")),
            ("{{{region}}}", Some("{north}")),
            ("{pence}", None),
            ("{empty}", None),
            ("{absent}", None),
        ] {
            assert_eq!(of(template, &message).as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn the_type_of_the_header_counts_before_the_payload() {
        let message = Message::new("x", r#"{"eventType": "body"}"#);
        assert_eq!(
            of("{event_type}", &message.clone().with_header("ce_type", "cloud")).as_deref(),
            Some("cloud")
        );
        assert_eq!(of("{event_type}", &message.with_header("eventType", "head")).as_deref(), Some("head"));
    }

    /// The form of an event is no matter of who routes it.
    #[test]
    fn an_event_is_routed_alike_in_every_wire_form() {
        let document = r#"{"specversion": "1.0", "id": "m-1", "source": "/till", "type": "a.b", "subject": "o-7",
            "dataversion": "2.0", "tenant": "north", "data": {"region": "east", "type": "inner", "source": "inner"}}"#;
        let structured =
            Message::new("x", document).with_header("contentType", "application/cloudevents+json");
        let binary = Message::new("x", r#"{"region": "east", "type": "inner", "source": "inner"}"#)
            .with_header("ce_specversion", "1.0")
            .with_header("ce_source", "/till")
            .with_header("ce_type", "a.b")
            .with_header("ce_subject", "o-7")
            .with_header("ce_dataversion", "2.0")
            .with_header("ce_tenant", "north");
        for message in [structured, binary] {
            let keyed = message.clone().with_key("k-1");
            assert_eq!(of("{aggregateId}", &keyed).as_deref(), Some("k-1"), "as in the envelope");
            let template = "{eventType} {source} {aggregate_id} {dataVersion} {region} {tenant}";
            assert_eq!(
                of(template, &message).as_deref(),
                Some("a.b /till o-7 2.0 east north"),
                "{message:?}"
            );
        }
    }

    #[test]
    fn a_payload_that_is_no_json_has_no_fields() {
        assert_eq!(of("{tenant}", &Message::new("x", vec![0xff, 0x00])), None);
        assert_eq!(of("{topic}", &Message::new("x", vec![0xff, 0x00])).as_deref(), Some("orders.order"));
    }

    #[test]
    fn broken_templates_are_refused_with_a_hint() {
        for template in ["", "{", "}", "a{b", "a}b", "{}", "{a{b}}", "{a}}"] {
            let error = template.parse::<RoutingKey>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{template:?}");
        }
    }

    proptest! {
        #[test]
        fn no_template_and_no_message_panics(template in ".{0,40}", payload in ".{0,60}") {
            if let Ok(template) = template.parse::<RoutingKey>() {
                let _ = template.of(&Message::new("x", payload), "orders.order");
            }
        }
    }
}
