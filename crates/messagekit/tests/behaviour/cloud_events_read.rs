//! CloudEvents of other writers: what is read of them, and what is said of those that cannot be read.

use std::collections::BTreeSet;

use messagekit::adapter::Identity;
use messagekit::{Envelope, Error, ErrorKind, Event, Message, headers};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fixture::{Placed, TOPIC, World, start, until};

fn structured(document: &Value) -> Message {
    raw(&document.to_string())
}

fn raw(payload: &str) -> Message {
    Message::new(TOPIC, payload.to_owned())
        .with_header("content-type", "application/cloudevents+json; charset=UTF-8")
}

fn event(fields: Value) -> Value {
    let mut document = json!({
        "specversion": "1.0", "id": "m-1", "source": "/till", "type": "orders.order.placed",
        "data": {"order": "o-7", "n": 7},
    });
    for (name, value) in fields.as_object().expect("an object") {
        document[name] = value.clone();
    }
    document
}

fn binary(fields: &[(&str, &str)], payload: &str) -> Message {
    let all = [
        ("ce_specversion", "1.0"),
        ("ce_id", "m-1"),
        ("ce_source", "/till"),
        ("ce_type", "orders.order.placed"),
        ("content-type", "application/json"),
    ];
    all.iter().chain(fields).fold(Message::new(TOPIC, payload.to_owned()), |message, (name, value)| {
        message.with_header(name, (*value).to_owned())
    })
}

const DATA: &str = r#"{"order":"o-7","n":7}"#;

fn read(message: &Message) -> Result<Envelope<Placed>, Error> {
    Envelope::decode(message)
}

fn refusal(message: &Message) -> String {
    let error = read(message).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Undecodable);
    error.to_string()
}

#[test]
fn every_attribute_and_extension_of_either_form_is_read() {
    let fields = json!({
        "time": "2026-01-31T23:59:59.123456789+01:00",
        "subject": "o-7",
        "dataschema": "https://schemas.example/order",
        "datacontenttype": "application/json",
        "correlationid": "c-1",
        "causationid": "c-2",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor=1",
        "partitionkey": "p-1",
        "comexampleextension1": "value",
    });
    let as_headers: Vec<(String, String)> = fields
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(name, _)| *name != "datacontenttype")
        .map(|(name, value)| (format!("ce_{name}"), value.as_str().expect("a text").to_owned()))
        .collect();
    let as_headers: Vec<(&str, &str)> = as_headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    for message in [structured(&event(fields)), binary(&as_headers, DATA)] {
        let envelope = read(&message).expect("decoded");
        assert_eq!(envelope.event_id.as_str(), "/till m-1");
        assert_eq!(envelope.source, "/till");
        assert_eq!(envelope.occurred_at.to_string(), "2026-01-31T22:59:59.123456789Z");
        assert_eq!(envelope.aggregate_id.as_deref(), Some("p-1"));
        assert_eq!(envelope.data_version, "1.0");
        assert_eq!(envelope.correlation_id.as_ref().map(|id| id.as_str()), Some("c-1"));
        assert_eq!(envelope.causation_id.as_ref().map(|id| id.as_str()), Some("c-2"));
        let trace = envelope.trace.as_ref().expect("a context");
        assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.tracestate(), Some("vendor=1"));
        let metadata = json!({
            "subject": "o-7", "dataschema": "https://schemas.example/order", "comexampleextension1": "value",
        });
        assert_eq!(json!(envelope.metadata), metadata);
        assert_eq!(envelope.data, Placed { order: "o-7".to_owned(), n: 7 });
    }
}

#[test]
fn numbers_and_truth_values_of_extensions_keep_their_type() {
    let envelope =
        read(&structured(&event(json!({"retries": 3, "urgent": true, "gone": null})))).expect("decoded");
    assert_eq!(json!(envelope.metadata), json!({"retries": 3, "urgent": true}));
}

#[test]
fn the_key_of_a_message_comes_before_the_subject() {
    let key = |message: Message| {
        let envelope = read(&message).expect("decoded");
        (envelope.meta.aggregate_id.clone(), envelope.meta.metadata.get("subject").cloned())
    };
    let subject = || structured(&event(json!({"subject": "o-7"})));
    assert_eq!(key(subject()), (Some("o-7".to_owned()), None));
    assert_eq!(key(subject().with_key("o-7")), (Some("o-7".to_owned()), None));
    assert_eq!(key(subject().with_key("k")), (Some("k".to_owned()), Some(json!("o-7"))));
    assert_eq!(key(structured(&event(json!({})))), (None, None));
}

#[test]
fn data_may_stand_in_base64_or_be_left_out() {
    let mut document = event(json!({"data_base64": "eyJvcmRlciI6Im8tNyIsIm4iOjd9"}));
    document.as_object_mut().expect("an object").remove("data");
    assert_eq!(read(&structured(&document)).expect("decoded").data.n, 7);

    #[derive(Debug, Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", topic = "orders.order")]
    struct Ping {}
    document.as_object_mut().expect("an object").remove("data_base64");
    Envelope::<Ping>::decode(&structured(&document)).expect("it has no fields");
    Envelope::<Ping>::decode(&binary(&[], "")).expect("it has no fields");
    assert!(refusal(&structured(&document)).contains("missing field `order`"));
}

#[test]
fn what_cannot_be_read_is_said_with_its_cause() {
    for (message, text) in [
        (raw(""), "payload is empty"),
        (raw("\u{feff}{}"), "byte order mark"),
        (raw("[{}]"), "payload is not a JSON object"),
        (raw(r#"{"id":"m-1","id":"m-2"}"#), "given twice"),
        (raw(r#"{"id":"m-1","data":{},"data_base64":""}"#), "given twice"),
        (raw(r#"{"id":"m-1","secret":"x","#), "EOF while parsing"),
        (structured(&event(json!({"id": 7}))), "attribute `id` is not a text"),
        (structured(&event(json!({"time": 7}))), "attribute `time` is not a text"),
        (structured(&event(json!({"time": "2026-01-31T23:59:59"}))), "a time with its zone"),
        (structured(&event(json!({"time": "yesterday"}))), "a time with its zone"),
        (structured(&event(json!({"specversion": "0.3"}))), "another version of CloudEvents"),
        (structured(&event(json!({"specversion": null}))), "no attribute `specversion`"),
        (structured(&event(json!({"source": null}))), "no attribute `source`"),
        (structured(&event(json!({"source": ""}))), "no attribute `source`"),
        (structured(&event(json!({"source": "/till 7"}))), "attribute `source` is not a URI reference"),
        (binary(&[("ce_source", "/tïll")], DATA), "attribute `source` is not a URI reference"),
        (structured(&event(json!({"id": null}))), "message has no id"),
        (structured(&event(json!({"type": null}))), "message has no type"),
        (structured(&event(json!({"type": "orders.order.moved"}))), "message is of another type"),
        (structured(&event(json!({"data": [7, "o-7"]}))), "data is not a JSON object"),
        (structured(&event(json!({"data": "o-7"}))), "data is not a JSON object"),
        (structured(&event(json!({"data": {"order": "o-7"}}))), "missing field `n`"),
        (
            structured(&event(json!({"datacontenttype": "text/xml", "data": "<a/>"}))),
            "not JSON by its content type",
        ),
        (structured(&event(json!({"dataversion": "2.0"}))), "data is of version 2.0"),
        (binary(&[("ce_time", "2026-01-31T23:59:59")], DATA), "a time with its zone"),
        (binary(&[("content-type", "application/avro")], DATA), "not JSON by its content type"),
        (binary(&[("ce_specversion", "1.1")], DATA), "another version of CloudEvents"),
        (binary(&[], "[7]"), "data is not a JSON object"),
        (raw("{}").with_header("content-type", "application/cloudevents-batch+json"), "batch of CloudEvents"),
        (raw("{}").with_header("content-type", "application/cloudevents+avro"), "another format than JSON"),
    ] {
        let refused = refusal(&message);
        assert!(refused.contains(text), "{refused} for {text}");
        assert!(!refused.contains("secret"), "{refused}");
    }
    let base64 = json!({"specversion": "1.0", "id": "m-1", "source": "s", "type": "orders.order.placed", "data_base64": "?"});
    assert!(refusal(&structured(&base64)).contains("not base64"));
    let bytes = binary(&[], DATA).with_header("ce_name", &b"\xff"[..]);
    assert!(refusal(&bytes).contains("attribute \"name\" is not UTF-8"));
}

/// Two producers may number their events alike.
#[test]
fn source_and_id_together_are_the_id_of_a_foreign_event() {
    let uuid = "0190f5a5-7b1c-7cc0-8d3a-1f2e3d4c5b6a";
    let long = "x".repeat(300);
    for (id, source, expected) in [
        ("7", "/a", "/a 7"),
        ("7", "/b", "/b 7"),
        ("at:orders/0/1", "/a", "/a at:orders/0/1"),
        (uuid, "/a", uuid),
        (&long, "/a", ""),
    ] {
        let document = structured(&event(json!({"id": id, "source": source})));
        for message in [document, binary(&[("ce_id", id), ("ce_source", source)], DATA)] {
            let found = read(&message).expect("decoded").meta.event_id;
            assert_eq!(Identity::unchecked(&message).expect("an id"), found);
            match id.len() {
                300 => assert!(
                    found.as_str().starts_with("cloudevent ") && found.as_str().len() == 75,
                    "{found}"
                ),
                _ => assert_eq!(found.as_str(), expected),
            }
            // The bridge names the message so.
            let named = message.with_header(headers::ID, found.as_str().to_owned());
            assert_eq!(read(&named).expect("decoded").meta.event_id, found);
        }
    }
}

/// An event whose source is no URI reference becomes a failed message under an id of its own.
#[test]
fn no_two_pairs_of_source_and_id_share_an_id() {
    let mut ids = BTreeSet::new();
    for (source, id) in
        [("/till 7", "1"), ("/till", "7 1"), ("/till 7 1", ""), ("/till  7", "1"), ("/till ", "7 1")]
    {
        let message = binary(&[("ce_id", id), ("ce_source", source)], DATA);
        match Identity::unchecked(&message) {
            Ok(found) => assert!(ids.insert(found), "{source:?} {id:?}"),
            Err(_) => assert_eq!(id, ""),
        }
    }
    assert_eq!(ids.len(), 4);
}

#[test]
fn real_attributes_win_over_those_in_the_metadata() {
    let fields = json!({
        "correlationid": "at:t/0/1", "tenant": "north", "metadata": r#"{"tenant":"south","correlationid":"c","more":1}"#,
    });
    let envelope = read(&structured(&event(fields))).expect("decoded");
    assert_eq!(envelope.correlation_id, None, "it is no id here");
    assert_eq!(json!(envelope.metadata), json!({"tenant": "north", "correlationid": "at:t/0/1", "more": 1}));
}

#[test]
fn headers_and_attributes_must_agree() {
    let document = structured(&event(json!({})));
    for message in [document, binary(&[], DATA)] {
        read(&message.clone().with_header(headers::ID, "m-1")).expect("they agree");
        let other = message.clone().with_header(headers::ID, "m-2");
        assert!(refusal(&other).contains("different ids"));
        assert!(Identity::undisputed(&other).is_none());
        let other = message.with_header(headers::EVENT_TYPE, "orders.order.moved");
        assert!(refusal(&other).contains("different types"));
    }
}

#[test]
fn a_document_with_very_many_attributes_is_read_in_time() {
    let many: String = (0..60_000).map(|n| format!(r#""a{n}":"","#)).collect();
    let document = format!(
        r#"{{{many}"specversion":"1.0","id":"m-1","source":"s","type":"orders.order.placed","data":{DATA}}}"#
    );
    assert_eq!(read(&raw(&document)).expect("decoded").meta.metadata.len(), 60_000);
    let nested = format!(r#"{{"id":"m-1","a":{}"#, "[".repeat(200_000));
    assert!(refusal(&raw(&nested)).contains("payload is not a CloudEvent in JSON"));
    let closed = format!(
        r#"{{"id":"m-1","type":"orders.order.placed","a":{}{}}}"#,
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    assert!(refusal(&raw(&closed)).contains("payload is not a CloudEvent in JSON"));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_handles_events_of_either_form_once() {
    let world = World::new(1);
    let order = |id: &str, n: i64| (event(json!({"id": id, "data": {"order": "o", "n": n}})), n);
    let (first, _) = order("m-1", 1);
    world.publish(structured(&first)).await;
    world.publish(structured(&first)).await;
    world.publish(binary(&[("ce_id", "m-2")], r#"{"order":"o","n":2}"#)).await;
    world.publish(binary(&[("ce_id", "m-1")], r#"{"order":"o","n":1}"#)).await;
    world.publish(structured(&order("m-3", 3).0)).await;
    let consumer = start(world.billing());
    until(|| world.applied().len() == 3).await;
    consumer.stop().await;
    assert_eq!(world.applied().len(), 3, "one id is one event, in whichever form");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_event_is_set_aside_with_its_bytes() {
    let world = World::new(1);
    let message = structured(&event(json!({"time": "2026-01-31T23:59:59"})));
    world.publish(message.clone()).await;
    let consumer = start(world.billing());
    until(|| world.failed_messages_now() == 1).await;
    consumer.stop().await;
    let failed = &world.failed_messages().await[0];
    assert_eq!(
        (failed.received.message.payload.clone(), failed.received.message.headers.clone()),
        (message.payload, message.headers)
    );
}
