//! Events that an outbox writes as CloudEvents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use messagekit::adapter::{codec, on_wire};
use messagekit::{
    Consumer, Envelope, ErrorKind, Event, HandlerError, Message, Outbox, Store, WireForm, headers,
};
use messagekit_memory::{MemoryStore, MemoryTx};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fixture::{CONSUMER, Placed, TOPIC, World, start, until};

const FORMS: [WireForm; 3] =
    [WireForm::Messagekit, WireForm::CloudEventsStructured, WireForm::CloudEventsBinary];

/// What a consumer behind a broker gets.
fn sent(envelope: &Envelope<Placed>, form: WireForm) -> Message {
    on_wire(&[codec::encode_as(envelope, "shop", form).expect("encoded")])[0].clone()
}

fn order() -> Envelope<Placed> {
    let cause = Envelope::new(Placed { order: "o-7".to_owned(), n: 1 });
    let mut envelope = Placed { order: "o-7".to_owned(), n: 2 }.follow(&cause);
    envelope.occurred_at = "2026-01-31T23:59:59.5Z".parse().expect("a time");
    envelope.trace =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("a context"));
    envelope.headers.insert("tenant".to_owned(), "north".to_owned());
    envelope.metadata = BTreeMap::from([
        ("channel".to_owned(), json!("phone")),
        ("line".to_owned(), json!(3)),
        ("isUrgent".to_owned(), json!(true)),
        ("dataschema".to_owned(), json!("https://schemas.example/order")),
        ("subject".to_owned(), json!("order 7")),
    ]);
    envelope
}

#[test]
fn a_structured_event_is_one_document_with_every_attribute() {
    let envelope = order();
    let message = sent(&envelope, WireForm::CloudEventsStructured);
    let document: Value = serde_json::from_slice(&message.payload).expect("JSON");
    let expected = json!({
        "specversion": "1.0",
        "id": envelope.event_id.as_str(),
        "source": "shop",
        "type": "orders.order.placed",
        "datacontenttype": "application/json",
        "dataschema": "https://schemas.example/order",
        "subject": "order 7",
        "time": "2026-01-31T23:59:59.5Z",
        "dataversion": "1.0",
        "correlationid": envelope.correlation_id.as_ref().map(|id| id.as_str()),
        "causationid": envelope.causation_id.as_ref().map(|id| id.as_str()),
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "channel": "phone",
        "line": 3,
        "metadata": r#"{"isUrgent":true}"#,
        "data": {"order": "o-7", "n": 2},
    });
    assert_eq!(document, expected);
    assert_eq!(message.headers.text(headers::CONTENT_TYPE), Some("application/cloudevents+json"));
    assert_eq!(message.key.as_deref(), Some(&b"o-7"[..]));
}

#[test]
fn a_binary_event_has_its_attributes_as_headers() {
    let envelope = order();
    let message = sent(&envelope, WireForm::CloudEventsBinary);
    assert_eq!(&message.payload[..], br#"{"order":"o-7","n":2}"#);
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", envelope.event_id.as_str()),
        ("ce_source", "shop"),
        ("ce_type", "orders.order.placed"),
        ("ce_subject", "order 7"),
        ("ce_time", "2026-01-31T23:59:59.5Z"),
        ("ce_dataschema", "https://schemas.example/order"),
        ("ce_channel", "phone"),
        // A header is a text: what is not one keeps its type among the rest.
        ("ce_metadata", r#"{"isUrgent":true,"line":3}"#),
        ("contentType", "application/json"),
        ("id", envelope.event_id.as_str()),
    ] {
        assert_eq!(message.headers.text(name), Some(value), "{name}");
    }
    assert_eq!(message.headers.get("ce_data"), None);
    assert_eq!(message.headers.get("ce_datacontenttype"), None, "it is the content type");
}

#[test]
fn an_event_comes_back_from_each_form_as_it_was() {
    for form in FORMS {
        let envelope = order();
        assert_eq!(
            Envelope::decode(&sent(&envelope, form)).expect("decoded"),
            envelope_from(&envelope),
            "{form}"
        );
    }
}

/// The outbox fills in the source.
fn envelope_from(envelope: &Envelope<Placed>) -> Envelope<Placed> {
    let mut envelope = envelope.clone();
    if envelope.source.is_empty() {
        envelope.source = "shop".to_owned();
    }
    envelope
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no infinity", |n| n.is_finite()).prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("\u{7f}\u{9f}\u{fdd0}\u{10ffff}")),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9]{1,8}",
        any::<String>(),
        prop::sample::select(vec![
            "id",
            "source",
            "type",
            "subject",
            "data",
            "data_base64",
            "metadata",
            "dataschema",
            "time",
            "partitionkey",
            "traceparent",
            "dataversion",
            "specversion",
            "datacontenttype",
            "correlationid",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn any_event_survives_each_form(
        n in any::<i64>(),
        aggregate_id in prop::option::of(prop_oneof!["[a-z]{1,3}", any::<String>()]),
        metadata in prop::collection::btree_map(name(), value(), 0..6),
        subject in prop::option::of("[a-z]{1,3}"),
        source in "[a-z/]{0,1}[!-~&&[^%\"<>\\\\^`{|}:#\\[\\]]]{0,12}",
        seconds in -60_000_000_000_i64..200_000_000_000,
        is_caused in any::<bool>(),
    ) {
        let mut envelope = Envelope::new(Placed { order: "o".to_owned(), n });
        if is_caused {
            envelope = Placed { order: "o".to_owned(), n }.follow(&envelope);
        }
        envelope.aggregate_id = aggregate_id;
        envelope.metadata = metadata;
        if let Some(subject) = subject {
            envelope.metadata.insert("subject".to_owned(), json!(subject));
        }
        envelope.source = source;
        envelope.occurred_at = jiff::Timestamp::from_second(seconds).expect("a time");
        for form in FORMS {
            let read = Envelope::<Placed>::decode(&sent(&envelope, form));
            prop_assert_eq!(read.expect("decoded"), envelope_from(&envelope), "{}", form);
        }
    }
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "orders.order.moved")]
struct Moved {
    #[serde(rename = "from")]
    origin: String,
}

#[tokio::test(start_paused = true)]
async fn a_consumer_reads_what_outboxes_of_each_form_write() {
    let world = World::new(1);
    let outboxes = FORMS.map(|form| {
        Outbox::new(MemoryStore::with_log(&world.log), "shop").expect("an outbox").wire_form(form)
    });
    for (outbox, n) in outboxes.iter().zip(1..) {
        let mut tx = outbox.store().begin().await.expect("begun");
        outbox.add(&mut tx, Placed { order: "o".to_owned(), n }).await.expect("added");
        outbox.commit(tx).await.expect("committed");
    }
    let consumer = start(world.billing());
    until(|| world.applied().len() == 3).await;
    consumer.stop().await;
    assert_eq!(world.applied().len(), 3);
    let forms: Vec<bool> = world
        .log
        .records(TOPIC)
        .iter()
        .map(|record| record.message.headers.get(headers::CE_SPECVERSION).is_some())
        .collect();
    assert_eq!(forms, [false, false, true], "the last one is taken apart on its way");
}

async fn refuse_once(
    seen: &Mutex<Vec<i64>>,
    _: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    let mut seen = seen.lock().expect("seen");
    seen.push(event.data.n);
    if seen.len() > FORMS.len() { Ok(()) } else { Err(HandlerError::permanent("no")) }
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_keeps_its_form_until_it_is_retried() {
    let (world, seen) = (World::new(1), Arc::new(Mutex::new(Vec::new())));
    for (form, n) in FORMS.into_iter().zip(1..) {
        let mut event = Envelope::new(Placed { order: format!("o-{n}"), n });
        event.aggregate_id = Some(format!("o-{n}"));
        world.publish(codec::encode_as(&event, "shop", form).expect("encoded")).await;
    }
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let consumer = start(builder.on_with(seen.clone(), refuse_once));
    until(|| world.failed_messages_now() == 3).await;
    for failed in world.failed_messages().await {
        world.retry(failed.id).await.expect("scheduled");
    }
    until(|| seen.lock().expect("seen").len() == 6).await;
    consumer.stop().await;
    let mut again = seen.lock().expect("seen")[3..].to_vec();
    again.sort_unstable();
    assert_eq!(again, [1, 2, 3]);
}

#[test]
fn an_event_may_have_fields_named_like_attributes() {
    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    #[event(type = "orders.order.moved")]
    struct Sourced {
        #[serde(rename = "id")]
        id: i64,
        #[serde(rename = "type")]
        kind: String,
        data: String,
    }
    let envelope = Envelope::new(Sourced { id: 1, kind: "k".to_owned(), data: "d".to_owned() });
    for form in FORMS {
        let message = codec::encode_as(&envelope, "shop", form).expect("encoded");
        let read = Envelope::<Sourced>::decode(&on_wire(&[message])[0]).expect("decoded");
        assert_eq!(read.data, envelope.data, "{form}");
    }
}

#[test]
fn a_source_that_is_no_uri_reference_is_refused() {
    for source in ["my shop", "käse", "a\tb", "100%", "a%2", "<shop>", ":x", "1:b", "a[b", "a#b#c"] {
        let mut envelope = Envelope::new(Moved { origin: "a".to_owned() });
        envelope.source = source.to_owned();
        let refused = codec::encode_as(&envelope, "shop", WireForm::CloudEventsBinary).expect_err(source);
        assert_eq!(refused.kind(), ErrorKind::InvalidEvent, "{source}");
        assert!(refused.to_string().contains("URI reference"), "{refused}");
        assert_eq!(refused.context("event_type"), Some("orders.order.moved"));
        codec::encode(&envelope, "shop").expect("messagekit JSON takes it");
    }
    for source in [
        "/orders",
        "urn:shop:1",
        "a/b:c",
        "?a:b",
        "mailto:shop@example.org",
        "https://shop.example/a?b#c",
        "a%20b",
        "shop",
    ] {
        let mut envelope = Envelope::new(Moved { origin: "a".to_owned() });
        envelope.source = source.to_owned();
        codec::encode_as(&envelope, "shop", WireForm::CloudEventsStructured).expect(source);
    }
}

#[test]
fn attributes_too_large_for_headers_stay_structured() {
    let mut envelope = Envelope::new(Moved { origin: "a".to_owned() });
    for metadata in [
        BTreeMap::from([("note".to_owned(), json!("x".repeat(33_000)))]),
        BTreeMap::from([("a note".to_owned(), json!("x".repeat(400_000)))]),
    ] {
        envelope.metadata = metadata;
        let message = codec::encode_as(&envelope, "shop", WireForm::CloudEventsBinary).expect("encoded");
        let sent = &on_wire(std::slice::from_ref(&message))[0];
        assert_eq!(sent, &message);
        assert_eq!(Envelope::<Moved>::decode(sent).expect("decoded").meta.metadata, envelope.metadata);
    }
    envelope.metadata = (0..1000).map(|n| (format!("m{n}"), json!("x"))).collect();
    let message = codec::encode_as(&envelope, "shop", WireForm::CloudEventsBinary).expect("encoded");
    let sent = &on_wire(std::slice::from_ref(&message))[0];
    assert!(sent.headers.get("ce_metadata").is_some(), "beyond a hundred, the rest stands in one extension");
    sent.check().expect("within the limits of every hop");
    assert_eq!(Envelope::<Moved>::decode(sent).expect("decoded").meta.metadata, envelope.metadata);
}

#[test]
fn a_time_before_the_year_1_is_refused() {
    let mut envelope = Envelope::new(Moved { origin: "a".to_owned() });
    envelope.occurred_at = "-000001-12-31T23:59:59Z".parse().expect("a time");
    let refused =
        codec::encode_as(&envelope, "shop", WireForm::CloudEventsStructured).expect_err("no RFC 3339");
    assert!(refused.to_string().contains("before the year 1"), "{refused}");
}

#[test]
fn what_is_marked_binary_and_no_event_is_sent_as_it_is() {
    let marked = |payload: &str| {
        Message::new(TOPIC, payload.to_owned())
            .with_header(headers::CONTENT_TYPE, "application/cloudevents+json; mode=binary")
    };
    let made = r#"{"specversion":"1.0","id":"m-1","source":"s","type":"a.b","datacontenttype":"application/json","data":{}}"#;
    assert_eq!(&on_wire(&[marked(made)])[0].payload[..], b"{}", "but for the following, it is taken apart");
    for payload in [
        "",
        "x",
        "[]",
        "{}",
        r#"{"id":"m-1"}"#,
        &made.replace("\"data\":{}", "\"data_base64\":\"e30=\""),
        &made.replace("\"data\":{}", "\"data\":\"text\""),
        &made.replace("\"id\"", "\"id\":\"m-0\",\"id\""),
        &made.replace("\"m-1\"", "7"),
        &made.replace("1.0", "1.1"),
        &made.replace("\"specversion\":\"1.0\",", ""),
        &made.replace("application/json", "application/xml"),
        &made.replace("\"id\"", "\"a\\u0000b\":\"\",\"id\""),
        &made.replace("\"id\"", "\"a23456789012345678901\":\"\",\"id\""),
    ] {
        assert_eq!(on_wire(&[marked(payload)])[0], marked(payload), "{payload}");
    }
    let many: BTreeMap<String, &str> = (0..300).map(|n| (format!("a{n}"), "")).collect();
    let mut document = json!(many);
    document["data"] = json!({});
    let message = marked(&document.to_string());
    assert_eq!(on_wire(std::slice::from_ref(&message))[0], message);
}
