//! Records that no handler can take: stored in full, reported without their contents, and skipped.

use messagekit::adapter::MAX_PAYLOAD_BYTES;
use messagekit::consumer::ConsumerStats;
use messagekit::operations::FailedMessageState;
use messagekit::{Message, headers};

use crate::console::{Console, Running, note, write_down};

/// A part of every hostile payload: no error may repeat it.
const SECRET: &str = "s3cret-value";

/// A hostile record and its outcome.
struct Hostile {
    name: &'static str,
    message: Message,
    kind: &'static str,
    /// A part of the error that helps to find the cause.
    says: &'static str,
    /// The failed message has the record's own id, not its position.
    has_id: bool,
}

fn hostile(name: &'static str, message: Message, kind: &'static str, says: &'static str) -> Hostile {
    Hostile { name, message, kind, says, has_id: false }
}

/// Like [`hostile`], for a record with a usable id.
fn identified(name: &'static str, message: Message, kind: &'static str, says: &'static str) -> Hostile {
    Hostile { has_id: true, ..hostile(name, message, kind, says) }
}

/// Returns a payload with an id and a type that the consumer handles.
fn record(id: &str, payload: impl Into<bytes::Bytes>) -> Message {
    Message::new("desk.note", payload)
        .with_key("p-1")
        .with_header(headers::ID, id.to_owned())
        .with_header(headers::EVENT_TYPE, "desk.note.taken")
        .with_header(headers::CONTENT_TYPE, headers::JSON)
}

/// Returns a payload of the same type, without an id in the headers.
fn anonymous(payload: impl Into<bytes::Bytes>) -> Message {
    Message::new("desk.note", payload).with_header(headers::EVENT_TYPE, "desk.note.taken")
}

fn unreadable() -> Vec<Hostile> {
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    let deep = format!(r#"{{"pad":"{SECRET}","metadata":{{"a":{open}1{close}}}}}"#);
    let huge = format!("{{{SECRET}{}", "x".repeat(MAX_PAYLOAD_BYTES - SECRET.len() - 1));
    let what = "payload is not messagekit JSON";
    vec![
        hostile("empty", record("h-empty", ""), "undecodable", "payload is empty"),
        hostile("half", record("h-half", format!(r#"{{"pad":"{SECRET}","numb"#)), "undecodable", what),
        hostile("NUL between", record("h-nul", format!("{{\"pad\":\0\"{SECRET}\"}}")), "undecodable", what),
        hostile("huge", record("h-huge", huge), "undecodable", what),
        hostile("deep", record("h-deep", deep), "undecodable", "recursion limit"),
        hostile(
            "field twice",
            record("h-twice", format!(r#"{{"source":"{SECRET}","source":"b"}}"#)),
            "undecodable",
            "duplicate field `source`",
        ),
        hostile(
            "time that is none",
            record("h-time", format!(r#"{{"occurredAt":"{SECRET}"}}"#)),
            "undecodable",
            what,
        ),
    ]
}

fn without_identity() -> Vec<Hostile> {
    let body = |more: &str| format!(r#"{{"pad":"{SECRET}","number":1{more}}}"#);
    let long = "i".repeat(201);
    vec![
        hostile(
            "no id",
            anonymous(body("")),
            "missing_id",
            "neither header id, header ce_id nor field eventId",
        ),
        hostile("empty id", anonymous(body(r#","eventId":"""#)), "bad_id", "message id is empty"),
        hostile("long id", record(&long, body("")), "bad_id", "longer than 200 bytes"),
        hostile("NUL in id", record("a\0b", body("")), "bad_id", "control character"),
        hostile("id like a place", record("at:desk.note/0/0", body("")), "bad_id", "reserved"),
        hostile(
            "id not UTF-8",
            anonymous(body("")).with_header(headers::ID, b"\xff".as_slice()),
            "bad_id",
            "message id is not UTF-8",
        ),
        hostile("two ids", record("h-one", body(r#","event_id":"h-two""#)), "id_mismatch", "different ids"),
        hostile(
            "two types",
            record("h-types", body(r#","eventType":"a.b""#)),
            "type_mismatch",
            "different types",
        ),
        hostile(
            "no type",
            Message::new("desk.note", body("")).with_header(headers::ID, "h-untyped"),
            "missing_type",
            "neither header eventType",
        ),
        hostile(
            "key not UTF-8",
            record("h-key", body("")).with_key(b"\xc3\x28".as_slice()),
            "bad_key",
            "key is not UTF-8",
        ),
    ]
}

fn not_what_the_type_says() -> Vec<Hostile> {
    let not_utf8 = [br#"{"pad":"s3cret-value"#.as_slice(), b"\xff\xfe", br#"","number":1}"#].concat();
    vec![
        identified("not UTF-8", record("h-utf8", not_utf8), "undecodable", "invalid unicode code point"),
        identified(
            "wrong type of a field",
            record("h-field", format!(r#"{{"pad":"p-1","number":"{SECRET}"}}"#)),
            "undecodable",
            "expected i64",
        ),
        identified(
            "number over 64 bits",
            record("h-number", format!(r#"{{"pad":"{SECRET}","number":99999999999999999999}}"#)),
            "undecodable",
            "expected i64",
        ),
        identified(
            "field missing",
            record("h-missing", format!(r#"{{"pad":"{SECRET}"}}"#)),
            "undecodable",
            "missing field `number`",
        ),
        identified(
            "newer major version",
            record("h-newer", format!(r#"{{"pad":"{SECRET}","number":1,"dataVersion":"2.0"}}"#)),
            "newer_version",
            "deploy the newer program, then retry",
        ),
        identified(
            "version that is none",
            record("h-version", format!(r#"{{"pad":"{SECRET}","number":1,"dataVersion":"new"}}"#)),
            "undecodable",
            "data version is not MAJOR.MINOR",
        ),
    ]
}

/// Publishes each record followed by a good note, and returns the statistics of the consumer.
async fn consume(console: &Console, records: &[Hostile]) -> ConsumerStats {
    for (number, record) in (0..).zip(records) {
        console.publish(&[record.message.clone(), note(number)]).await;
    }
    let running = Running::start(console.consumer().on(write_down));
    let all = records.len() as u64;
    running.until("every record is dealt with", |stats| stats.handled == all && stats.dead == all).await;
    running.stop().await
}

async fn kept_whole_and_passed(records: Vec<Hostile>) {
    let console = Console::new().await;
    let stats = consume(&console, &records).await;
    assert_eq!((stats.set_aside, stats.ignored, stats.duplicates), (0, 0, 0));
    assert_eq!(
        console.notes().await,
        (0..records.len() as i64).collect::<Vec<_>>(),
        "the partition moved on in order"
    );

    let failed_messages = console.failed_messages().await;
    assert_eq!(failed_messages.len(), records.len());
    for (index, (record, failed_message)) in records.iter().zip(failed_messages).enumerate() {
        let name = record.name;
        assert_eq!(
            (&*failed_message.kind, failed_message.state),
            (record.kind, FailedMessageState::Dead),
            "{name}: {}",
            failed_message.error
        );
        assert!(failed_message.error.contains(record.says), "{name}: {}", failed_message.error);
        assert!(!failed_message.error.contains(SECRET), "{name}: {}", failed_message.error);
        let mut kept = failed_message.received.message;
        kept.headers.remove(headers::CREATED_AT).unwrap_or_else(|| panic!("{name}: the log's time is kept"));
        assert_eq!(kept, record.message, "{name}: every byte is kept");
        let position =
            failed_message.received.position.unwrap_or_else(|| panic!("{name}: the place is kept"));
        assert_eq!((position.partition, position.offset), (0, 2 * index as i64), "{name}");
        let id = failed_message.received.id;
        match record.message.headers.text(headers::ID).filter(|_| record.has_id) {
            Some(own) => assert_eq!(id.as_str(), own, "{name}"),
            None => {
                assert_eq!(id.as_str(), format!("at:{position}"), "{name}: no publisher's id is swallowed");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_whole_and_passed() {
    kept_whole_and_passed(unreadable()).await;
}

#[tokio::test]
async fn what_is_no_object_is_no_event() {
    let what = "payload is not a JSON object";
    kept_whole_and_passed(vec![
        hostile(
            "fields of the envelope in order",
            anonymous(r#"["h-list","desk.note.taken"]"#),
            "undecodable",
            what,
        ),
        hostile("fields of the event in order", record("h-fields", r#"["h-fields",7]"#), "undecodable", what),
        hostile("string", record("h-string", format!(r#""{SECRET}""#)), "undecodable", what),
        hostile("text", record("h-text", format!("hello {SECRET}")), "undecodable", what),
        hostile("null", record("h-null", "null"), "undecodable", what),
        hostile("white space", record("h-space", " \n\t "), "undecodable", what),
        hostile("NUL", record("h-zero", b"\0".as_slice()), "undecodable", what),
        hostile("byte order mark", record("h-mark", "\u{feff}{}"), "undecodable", "byte order mark"),
        hostile(
            "object behind an object",
            record("h-two", r#"{"eventId":"h-two"}{}"#),
            "undecodable",
            "payload",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_record_without_identity_is_kept_under_its_position() {
    kept_whole_and_passed(without_identity()).await;
}

#[tokio::test]
async fn what_is_not_what_its_type_says_keeps_its_id() {
    kept_whole_and_passed(not_what_the_type_says()).await;
}
