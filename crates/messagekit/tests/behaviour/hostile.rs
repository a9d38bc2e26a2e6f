//! Invalid records: each becomes a failed message, byte for byte, and the partition continues.

use messagekit::operations::FailedMessageState;
use messagekit::{Message, Position, headers};

use crate::fixture::{CONSUMER, TOPIC, World, placed, start, until};

/// A value in every payload below that no error may contain.
const SECRET: &str = "s3cr3t-4242";

/// Creates a record with the usual headers and this payload.
fn record(payload: impl Into<Vec<u8>>) -> Message {
    Message::new(TOPIC, payload.into())
        .with_key("k")
        .with_header(headers::ID, "h-1")
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header("tenant", &b"north\xff"[..])
}

fn without(mut message: Message, header: &str) -> Message {
    message.headers.remove(header);
    message
}

/// Consumes a record between two valid ones, and returns the failed message's kind, id and error.
async fn consumed(hostile: &Message) -> (String, String, String) {
    let world = World::new(1);
    let same_partition = || placed("g", 1).with_key("k");
    world.publish(same_partition()).await;
    world.publish(hostile.clone()).await;
    world.publish(placed("g", 2)).await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 3).await;

    assert_eq!(world.applied(), ["g-1", "g-2"], "the partition moves on");
    let failed_messages = world.failed_messages().await;
    let [failed_message] = failed_messages.as_slice() else {
        panic!("one failed message: {failed_messages:?}")
    };
    assert_eq!(failed_message.state, FailedMessageState::Dead);
    assert_eq!(failed_message.received.message, *hostile, "key, headers and payload are kept as they were");
    let position = Position { topic: TOPIC.into(), partition: 0, offset: 1 };
    assert_eq!(failed_message.received.position, Some(position));
    let error = &failed_message.error;
    assert!(!error.contains("s3cr3t") && !error.contains("4242"), "shows the payload: {error}");
    assert!(!format!("{failed_message:?}").contains("s3cr3t"), "shows the payload: {failed_message:?}");
    assert!(failed_message.error.len() < 300, "{}", failed_message.error);
    let stats = consumer.stop().await;
    assert_eq!((stats.dead, stats.handled), (1, 2));
    (failed_message.kind.clone(), failed_message.received.id.to_string(), failed_message.error.clone())
}

async fn assert_kept_by_place(name: &str, hostile: Message, kind: &str, hint: &str) {
    let (found, id, error) = consumed(&hostile).await;
    assert_eq!((&*found, &*id), (kind, "at:orders.order/0/1"), "{name}: {error}");
    assert!(error.contains(hint), "{name}: {error:?} does not say {hint:?}");
}

async fn assert_kept_by_id(name: &str, hostile: Message, kind: &str, hint: &str) {
    let (found, id, error) = consumed(&hostile).await;
    assert_eq!((&*found, &*id), (kind, "h-1"), "{name}: {error}");
    assert!(error.contains(hint), "{name}: {error:?} does not say {hint:?}");
}

#[tokio::test(start_paused = true)]
async fn payload_without_readable_metadata_fails_under_its_position() {
    let deep = format!(r#"{{"order":"{SECRET}","metadata":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let in_metadata = format!(
        r#"{{"order":"{SECRET}","n":1,"metadata":{{"a":{}1{}}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let cases: [(&str, Vec<u8>, &str); 16] = [
        ("no JSON", format!("order={SECRET}").into(), "not a JSON object"),
        ("empty", vec![], "empty"),
        ("blank", b"  \n ".into(), "not a JSON object"),
        ("truncated", format!(r#"{{"order":"{SECRET}","n"#).into(), "line 1 column"),
        ("trailing", format!(r#"{{"order":"a","n":1}} {SECRET}"#).into(), "line 1 column"),
        ("bare word", format!(r#"{{"order":{SECRET}}}"#).into(), "line 1 column 1"),
        ("byte order mark", format!("\u{feff}{{\"order\":\"{SECRET}\",\"n\":1}}").into(), "byte order mark"),
        (
            "UTF-16",
            format!(r#"{{"order":"{SECRET}"}}"#).encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "line 1",
        ),
        ("array", format!(r#"["{SECRET}",4242]"#).into(), "not a JSON object"),
        ("array in the order of the fields", br#"["h-1","orders.order.placed"]"#.into(), "not a JSON object"),
        ("text", format!(r#""{SECRET}""#).into(), "not a JSON object"),
        ("depth", "[".repeat(10_000).into(), "not a JSON object"),
        ("metadata of a wrong shape", deep.into(), "expected a map"),
        ("depth in the metadata", in_metadata.into(), "recursion limit"),
        ("id that is a number", br#"{"eventId":4242,"order":"a","n":1}"#.into(), "expected a string"),
        (
            "both spellings",
            br#"{"eventId":"h-1","event_id":"h-1","order":"a","n":1}"#.into(),
            "duplicate field `eventId`",
        ),
    ];
    for (name, payload, hint) in cases {
        assert_kept_by_place(name, record(payload), "undecodable", hint).await;
    }
}

#[tokio::test(start_paused = true)]
async fn data_that_is_not_the_event_is_kept_under_its_id() {
    let deep = format!(r#"{{"order":"{SECRET}","n":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let mut not_utf8 = format!(r#"{{"n":1,"order":"{SECRET}"#).into_bytes();
    not_utf8.extend(b"\xff\xfe\"}");
    let cases: [(&str, Vec<u8>, &str); 8] = [
        (
            "text for a number",
            format!(r#"{{"order":"a","n":"{SECRET}"}}"#).into(),
            "invalid type, expected i64",
        ),
        ("number for text", br#"{"order":4242,"n":1}"#.into(), "invalid type, expected a string"),
        ("above 64 bits", br#"{"order":"a","n":9223372036854775808}"#.into(), "expected i64"),
        (
            "far above 64 bits",
            br#"{"order":"a","n":42424242424242424242424242424242}"#.into(),
            "expected i64",
        ),
        ("missing field", format!(r#"{{"order":"{SECRET}"}}"#).into(), "missing field `n`"),
        (
            "duplicate field",
            format!(r#"{{"order":"{SECRET}","n":1,"order":"b"}}"#).into(),
            "duplicate field `order`",
        ),
        ("depth in the data", deep.into(), "expected i64"),
        ("invalid UTF-8", not_utf8, "invalid unicode"),
    ];
    for (name, payload, hint) in cases {
        assert_kept_by_id(name, record(payload), "undecodable", hint).await;
    }
    let newer = record(format!(r#"{{"order":"{SECRET}","n":1,"dataVersion":"2.0"}}"#));
    assert_kept_by_id("newer major version", newer, "newer_version", "deploy the newer program").await;
    let odd = record(format!(r#"{{"order":"a","n":1,"dataVersion":"{SECRET}"}}"#));
    assert_kept_by_id("no version", odd, "undecodable", "MAJOR.MINOR").await;
}

#[tokio::test(start_paused = true)]
async fn message_with_unusable_identity_fails_under_its_position() {
    let body = format!(r#"{{"order":"{SECRET}","n":1}}"#);
    let good = || record(body.clone());
    let with_id = |id: &[u8]| good().with_header(headers::ID, id.to_vec());
    let mut bad_key = good();
    bad_key.key = Some(b"k\xff"[..].into());
    let in_body =
        |name: &str, value: &str| record(format!(r#"{{"order":"{SECRET}","n":1,"{name}":"{value}"}}"#));
    let no_type = without(good(), headers::EVENT_TYPE);
    let unread = good().with_header(headers::UNREADABLE, "name of 1 header is not UTF-8");
    let cases: [(&str, Message, &str, &str); 16] = [
        (
            "no id",
            without(good(), headers::ID),
            "missing_id",
            "neither header id, header ce_id nor field eventId",
        ),
        ("no type", no_type, "missing_type", "neither header eventType, header ce_type nor field eventType"),
        ("empty id", with_id(b""), "bad_id", "is empty"),
        ("201 bytes", with_id(&[b'x'; 201]), "bad_id", "longer than 200 bytes"),
        ("100 characters, 202 bytes", with_id("é".repeat(101).as_bytes()), "bad_id", "longer than 200 bytes"),
        ("NUL in the id", with_id(b"a\0b"), "bad_id", "control character"),
        ("line break in the id", with_id(b"a\nb"), "bad_id", "control character"),
        ("C1 control in the id", with_id("a\u{85}b".as_bytes()), "bad_id", "control character"),
        ("position as id", with_id(b"at:orders.order/0/0"), "bad_id", "reserved"),
        ("id is not text", with_id(b"\xff\xfe"), "bad_id", "not UTF-8"),
        (
            "NUL in the id of the payload",
            without(in_body("eventId", r"a\u0000b"), headers::ID),
            "bad_id",
            "control character",
        ),
        ("ids differ", in_body("eventId", SECRET), "id_mismatch", "different ids"),
        ("ids differ in snake case", in_body("event_id", SECRET), "id_mismatch", "different ids"),
        ("types differ", in_body("eventType", SECRET), "type_mismatch", "different types"),
        ("headers that the source could not read", unread, "unreadable", "name of 1 header"),
        ("key is not text", bad_key, "bad_key", "not UTF-8"),
    ];
    for (name, hostile, kind, hint) in cases {
        assert_kept_by_place(name, hostile, kind, hint).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_mismatch_swallows_neither_of_the_two_ids() {
    let world = World::new(1);
    let mismatch = placed("a", 1).with_header(headers::ID, "a-2");
    for message in [mismatch.clone(), placed("a", 1), placed("a", 2), mismatch] {
        world.publish(message).await;
    }
    let consumer = start(world.billing());
    until(|| world.committed(0) == 4).await;
    assert_eq!(world.applied(), ["a-1", "a-2"]);
    assert_eq!(world.failed_messages().await.len(), 2, "each record is kept: their positions differ");
    consumer.stop().await;
}

/// Only one of two records with the same id is readable.
#[tokio::test(start_paused = true)]
async fn two_records_with_one_id_count_once_even_if_one_is_unreadable() {
    let unreadable = || record(r#"{"order":"k","n":1,"dataVersion":"2.0"}"#);
    let readable = || record(r#"{"order":"k","n":1}"#);
    for (records, applied, failed_messages) in [
        ([unreadable(), readable()], 0, 1),
        ([readable(), unreadable()], 1, 0),
        ([unreadable(), unreadable()], 0, 1),
    ] {
        let world = World::new(1);
        for record in records {
            world.publish(record).await;
        }
        let consumer = start(world.billing());
        until(|| world.committed(0) == 2).await;
        assert_eq!((world.applied().len(), world.failed_messages().await.len()), (applied, failed_messages));
        assert_eq!(consumer.stop().await.duplicates, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_hostile_record_is_kept_once() {
    let world = World::new(1);
    world.publish(record("{")).await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 1).await;
    world.log.redeliver(CONSUMER);
    until(|| world.committed(0) == 1).await;
    assert_eq!(world.failed_messages().await.len(), 1);
    let stats = consumer.stop().await;
    assert_eq!((stats.dead, stats.duplicates), (1, 1));
}
