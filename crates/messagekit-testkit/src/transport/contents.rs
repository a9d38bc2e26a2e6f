//! Message contents are preserved.

use std::sync::Arc;

use messagekit::adapter::MAX_PAYLOAD_BYTES;
use messagekit::{Message, headers};

use super::{Receiver, TransportFixture, publish};
use crate::unique;

/// Sends messages one by one and requires that each arrives equal.
async fn round_trip<F: TransportFixture>(fixture: &F, topic: Arc<str>, sent: Vec<Message>) {
    for message in &sent {
        publish(fixture, std::slice::from_ref(message)).await;
    }
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let mut missing = sent;
    while !missing.is_empty() {
        let delivery = receiver.message().await;
        let id = delivery.message.headers.get(headers::ID).cloned();
        if let Some(index) =
            missing.iter().position(|message| message.headers.get(headers::ID) == id.as_ref())
        {
            let message = missing.swap_remove(index);
            same(&delivery.message, &message);
        } else {
            assert!(id.is_some(), "a message came without the id header it was sent with");
        }
        receiver.settle(fixture, vec![delivery]).await;
    }
}

fn same(received: &Message, sent: &Message) {
    assert_eq!(received.topic, sent.topic);
    assert_eq!(received.key, sent.key, "key of {sent:?}");
    assert!(
        received.payload == sent.payload,
        "payload of {sent:?} arrived with {} bytes",
        received.payload.len()
    );
    for (name, value) in sent.headers.iter() {
        assert_eq!(received.headers.get(name), Some(value), "header {name:?} of {sent:?}");
    }
    let known = |name: &str| sent.headers.get(name).is_some() || name == headers::CREATED_AT;
    let added: Vec<&str> =
        received.headers.iter().map(|(name, _)| name).filter(|name| !known(name)).collect();
    assert!(added.is_empty(), "{added:?} came to {sent:?}");
}

fn with_id(topic: &Arc<str>, payload: impl Into<Vec<u8>>) -> Message {
    Message::new(topic.clone(), payload.into()).with_header(headers::ID, unique("id"))
}

/// Every header, the key and the payload arrive. Only `createdAt` may be added where it is absent: a log sets it.
pub async fn carries_headers_and_key_unchanged<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let plain = with_id(&topic, "{}")
        .with_key("order-7")
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header(headers::CONTENT_TYPE, headers::JSON)
        .with_header(headers::TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_header(headers::CREATED_AT, "2026-01-02T03:04:05.678901Z")
        // Foreign producers send the state of a trace as a header, messagekit among the free headers.
        .with_header(headers::TRACESTATE, "vendor=1")
        .with_header(headers::FREE_HEADERS, r#"{"tenant":"north","tracestate":"vendor=1"}"#);
    let unicode = with_id(&topic, "{\"name\":\"Žižkov ☂ 寿司\"}")
        .with_key("клю́ч-寿司")
        .with_header("tenant", "Łódź")
        .with_header("empty", "");
    round_trip(fixture, topic, vec![plain, unicode]).await;
}

/// Keys, header values and payloads are bytes.
pub async fn carries_bytes_that_are_not_text<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let binary =
        with_id(&topic, every_byte.clone()).with_key(every_byte.clone()).with_header("binary", every_byte);
    let broken = with_id(&topic, vec![0xff, 0xfe, 0x00])
        .with_key(vec![0xc3, 0x28])
        .with_header("broken", vec![0xed, 0xa0, 0x80]);
    round_trip(fixture, topic, vec![binary, broken]).await;
}

/// An absent key differs from the empty key.
pub async fn absent_and_empty_keys_stay_different<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let sent = vec![with_id(&topic, "{}"), with_id(&topic, "{}").with_key("")];
    round_trip(fixture, topic, sent).await;
}

/// Payload sizes range from zero to the largest payload that a writer accepts.
pub async fn empty_and_large_payloads<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    assert!(fixture.publisher().max_bytes() >= MAX_PAYLOAD_BYTES, "the adapter takes what writers accept");
    let mut random = fastrand::Rng::with_seed(7);
    let mut payload =
        |bytes: usize| -> Vec<u8> { std::iter::repeat_with(|| random.u8(..)).take(bytes).collect() };
    let sizes = [0, 1, 1_000, 65_536, 300_000, MAX_PAYLOAD_BYTES];
    let sent = sizes.map(|bytes| with_id(&topic, payload(bytes)).with_key("large")).to_vec();
    round_trip(fixture, topic, sent).await;
}
