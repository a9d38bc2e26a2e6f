//! The wire form: encoded events decode, invalid events are not encoded, and no error shows a value.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::{Value, json};

use super::super::raw_envelope::RawEnvelope;
use super::*;
use crate::MessageId;
use crate::message::identify;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(type = "tests.codec.everything", key = "text")]
struct Everything {
    text: String,
    big: u64,
    small: i64,
    ratio: f64,
    by_number: BTreeMap<i64, Vec<Option<String>>>,
    nested: BTreeMap<String, BTreeMap<u8, bool>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(type = "tests.codec.pinged")]
struct Pinged {}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(type = "tests.codec.sized")]
struct Sized {
    text: String,
}

fn any_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(any_text(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn any_event()(
        text in any_text(),
        big in any::<u64>(),
        small in any::<i64>(),
        ratio in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL,
        by_number in btree_map(any::<i64>(), vec(prop::option::of(any_text()), 0..3), 0..4),
        nested in btree_map(any_text(), btree_map(any::<u8>(), any::<bool>(), 0..3), 0..3),
    ) -> Everything {
        Everything { text, big, small, ratio, by_number, nested }
    }
}

fn read<D: Data>(message: &Message) -> Envelope<D> {
    let meta = identify(message).expect("an identity");
    decode(meta, message).expect("an event")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_event_comes_back_as_it_was_written(
        data in any_event(),
        metadata in btree_map(any_text(), any_json(), 0..4),
        related in prop::option::of("[ -~&&[^:]]{1,40}"),
        seconds in -100_000_000_000_i64..200_000_000_000,
    ) {
        let mut sent = Envelope::new(data);
        sent.metadata = metadata;
        sent.occurred_at = Timestamp::from_second(seconds).expect("in range");
        sent.correlation_id = related.as_deref().map(|id| id.parse().expect("plain"));
        sent.causation_id = sent.correlation_id.clone();
        let message = encode(&sent, "tests").expect("plain data");
        prop_assert_eq!(message.key.as_deref(), Some(sent.data.text.as_bytes()));
        sent.source = "tests".to_owned();
        prop_assert_eq!(read::<Everything>(&message), sent);
    }

    /// No error shows payload content of another publisher.
    #[test]
    fn errors_show_nothing_of_the_payload(secret in "[a-z]{3}[0-9]{5}", shape in 0_usize..8, cut in 0_usize..200) {
        let text = match shape {
            0 => format!(r#"{{"text":{{"{secret}":1}},"big":1}}"#),
            1 => format!(r#"{{"text":"a","big":"{secret}"}}"#),
            2 => format!(r#"{{"text":"a","big":"x, expected {secret}, expected {secret}"}}"#),
            3 => format!(r#"{{"text":"a","big":-{}}}"#, &secret[3..]),
            4 => format!(r#"{{"text":"{secret}","occurredAt":"{secret}"}}"#),
            5 => format!(r#"{{"text":"{secret}","metadata":["{secret}"]}}"#),
            6 => format!(r#"{{"{secret}":"{secret}","text":"{secret}" {secret}"#),
            _ => format!(r#"{{"text":"{secret}","big":1,"small":2,"byNumber":{{"{secret}":[]}}}}"#),
        };
        let text = text.get(..cut).unwrap_or(&text);
        let message = Message::new("t", text.to_owned()).with_header(ID, "m-1").with_header(EVENT_TYPE, "a.b");
        let error = match identify(&message) {
            Err(unusable) => unusable.0.error,
            Ok(meta) => decode::<Everything>(meta, &message).expect_err("no event").to_string(),
        };
        prop_assert!(!error.contains(&secret) && !error.contains(&secret[3..]), "{}", error);
    }
}

#[test]
fn the_flat_object_is_camel_case_and_leaves_absent_fields_out() {
    let mut sent = Envelope::new(Sized { text: "x".to_owned() });
    sent.event_id = "m-1".parse().expect("plain");
    sent.occurred_at = Timestamp::UNIX_EPOCH;
    let message = encode(&sent, "tests").expect("plain data");
    assert_eq!(
        message.payload,
        r#"{"eventId":"m-1","eventType":"tests.codec.sized","occurredAt":"1970-01-01T00:00:00Z","source":"tests","dataVersion":"1.0","text":"x"}"#
    );
    let headers: Vec<_> = message.headers.iter().map(|(name, value)| (name, &value[..])).collect();
    let expected: [(&str, &[u8]); 3] =
        [("id", b"m-1"), ("eventType", b"tests.codec.sized"), ("contentType", b"application/json")];
    assert_eq!(headers, expected);
    assert_eq!((&*message.topic, message.key), ("tests.codec", None));
}

#[test]
fn both_spellings_of_every_field_are_read() {
    let fields = [
        ("eventId", "event_id", json!("m-1")),
        ("eventType", "event_type", json!("a.b")),
        ("aggregateId", "aggregate_id", json!("k")),
        ("occurredAt", "occurred_at", json!("2026-01-02T03:04:05.000006Z")),
        ("source", "source", json!("shop")),
        ("dataVersion", "data_version", json!("1.7")),
        ("correlationId", "correlation_id", json!("c-1")),
        ("causationId", "causation_id", json!("c-2")),
        ("metadata", "metadata", json!({"a": [1]})),
    ];
    let message = |snake: bool| {
        let object: serde_json::Map<String, Value> = fields
            .iter()
            .map(|(camel, snake_case, value)| {
                ((if snake { snake_case } else { camel }).to_string(), value.clone())
            })
            .collect();
        Message::new("t", Value::Object(object).to_string())
    };
    let camel = identify(&message(false)).expect("camel case");
    assert_eq!(identify(&message(true)).expect("snake case"), camel);
    assert_eq!((camel.event_id.as_str(), &*camel.event_type, &*camel.source), ("m-1", "a.b", "shop"));
    assert_eq!((camel.aggregate_id.as_deref(), &*camel.data_version), (Some("k"), "1.7"));
    assert_eq!(camel.correlation_id.as_ref().map(MessageId::as_str), Some("c-1"));
    assert_eq!(camel.causation_id.as_ref().map(MessageId::as_str), Some("c-2"));
    assert_eq!(camel.occurred_at.to_string(), "2026-01-02T03:04:05.000006Z");
    assert_eq!(camel.metadata["a"], json!([1]));
}

#[test]
fn unknown_payload_fields_are_ignored() {
    let payload = r#"{"eventId":"m","eventType":"a.b","text":"x","more":{"deep":[1,{"a":null}]},"":0}"#;
    assert_eq!(read::<Sized>(&Message::new("t", payload)).data.text, "x");
}

#[test]
fn an_event_without_fields_is_the_envelope_alone() {
    let message = encode(&Envelope::new(Pinged {}), "tests").expect("plain data");
    assert!(message.payload.ends_with(br#""dataVersion":"1.0"}"#), "{:?}", message.payload);
    assert_eq!(read::<Pinged>(&message).data, Pinged {});
}

/// Serialises as the given code, like a hand-written event.
macro_rules! hand_written {
    ($name:ident, $(#[$attribute:meta])* $form:item) => {
        $(#[$attribute])*
        #[derive(Serialize, Deserialize)]
        $form
        impl Event for $name {
            const TYPE: &'static str = "tests.codec.odd";
            const TOPIC: &'static str = "tests.codec";

            fn key(&self) -> Option<Cow<'_, str>> {
                None
            }
        }
    };
}

hand_written!(Unit, struct Unit;);
hand_written!(Tuple, struct Tuple(String, i64););
hand_written!(Newtype, struct Newtype(String););
hand_written!(
    Choice,
    enum Choice {
        This,
    }
);
hand_written!(IntegerKeys, struct IntegerKeys(BTreeMap<i64, bool>););
hand_written!(TextKeys, struct TextKeys(BTreeMap<String, bool>););

fn refused(event: impl Event) -> String {
    let error = encode(&Envelope::new(event), "tests").expect_err("it cannot be read back");
    assert_eq!(error.kind(), ErrorKind::InvalidEvent);
    error.to_string()
}

#[test]
fn what_is_no_object_is_not_written() {
    for error in [
        refused(Unit),
        refused(Tuple(String::new(), 1)),
        refused(Newtype(String::new())),
        refused(Choice::This),
    ] {
        assert!(error.contains("not a JSON object: derive it on a struct with named fields"), "{error}");
    }
    assert!(encode(&Envelope::new(IntegerKeys(BTreeMap::from([(1, true)]))), "tests").is_ok());
}

#[test]
fn a_field_with_the_name_of_an_envelope_field_is_not_written() {
    for name in ENVELOPE_FIELDS {
        let error = refused(TextKeys(BTreeMap::from([(name.to_owned(), true), ("zzz".to_owned(), true)])));
        assert!(error.contains(&format!("field `{name}`")) && error.contains("rename"), "{error}");
    }
    let near = ["eventid", "event-id", "EventId", "data", "id", "Metadata", "sources"];
    for name in near {
        let event = TextKeys(BTreeMap::from([(name.to_owned(), true)]));
        assert!(encode(&Envelope::new(event), "tests").is_ok(), "{name}");
    }
}

/// Every refused name is a field of the reader: each rejects a number.
#[test]
fn every_refused_name_is_a_field_that_is_read() {
    for name in ENVELOPE_FIELDS {
        let message = Message::new("t", json!({ name: 7 }).to_string());
        let error = serde_json::from_slice::<RawEnvelope<'_>>(&message.payload).err();
        assert!(error.is_some(), "{name} is not read");
    }
}

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("secret", "s3cr3t")?;
        Err(serde::ser::Error::custom("s3cr3t cannot be written"))
    }
}

impl<'de> Deserialize<'de> for Refuses {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

impl Event for Refuses {
    const TYPE: &'static str = "tests.codec.odd";
    const TOPIC: &'static str = "tests.codec";

    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

#[test]
fn data_that_refuses_to_be_written_is_an_error_without_a_value() {
    let error = encode(&Envelope::new(Refuses), "tests").expect_err("it refuses");
    assert_eq!(error.kind(), ErrorKind::InvalidEvent);
    assert!(!crate::chain(&error).contains("s3cr3t"), "{}", crate::chain(&error));
}

#[test]
fn the_limit_is_on_the_whole_payload_to_the_byte() {
    let exact = |bytes: usize| {
        let mut event = Envelope::new(Sized { text: String::new() });
        let envelope = encode(&event, "tests").expect("small").payload.len();
        event.data.text = "x".repeat(bytes - envelope);
        encode(&event, "tests")
    };
    for bytes in [crate::message::MAX_PAYLOAD_BYTES - 1, crate::message::MAX_PAYLOAD_BYTES] {
        assert_eq!(exact(bytes).expect("it fits").payload.len(), bytes);
    }
    let error = exact(crate::message::MAX_PAYLOAD_BYTES + 1).expect_err("one byte too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("900001 bytes"), "{error}");
}

#[test]
fn an_envelope_that_breaks_a_rule_is_not_written() {
    let with = |change: fn(&mut Envelope<Pinged>)| {
        let mut envelope = Envelope::new(Pinged {});
        change(&mut envelope);
        encode(&envelope, "tests").expect_err("a rule is broken").to_string()
    };
    assert!(with(|event| event.event_type = "Not A Type".to_owned()).contains("event type \"Not A Type\""));
    let error = encode(&Envelope::new(Pinged {}), "").expect_err("the source is missing").to_string();
    assert!(error.contains("no source: name the outbox"), "{error}");
    for version in ["", "1", "new", "1.", ".1", "01.0", "1.2.3", "-1.0", "4294967296.0"] {
        let mut event = Envelope::new(Pinged {});
        event.data_version = version.to_owned();
        let error = encode(&event, "tests").expect_err(version).to_string();
        assert!(error.contains("data version is not MAJOR.MINOR"), "{error}");
    }
}
