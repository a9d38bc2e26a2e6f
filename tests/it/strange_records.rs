//! Unusual records that can be handled, and records without a handler.

use std::sync::Arc;
use std::sync::Mutex;

use messagekit::adapter::MAX_PAYLOAD_BYTES;
use messagekit::operations::FailedMessageState;
use messagekit::{Envelope, HandlerError, Message, OnUnknown, headers};
use messagekit_sqlite::SqliteTx;

use crate::console::{Console, NoteTaken, Running, note, write, write_down};

fn record(payload: impl Into<bytes::Bytes>) -> Message {
    Message::new("desk.note", payload)
}

/// Stores the envelopes that it received.
#[derive(Default)]
struct Seen(Mutex<Vec<Envelope<NoteTaken>>>);

impl Seen {
    async fn write_down(&self, tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        write(tx, note.data.number).await?;
        self.0.lock().unwrap().push(note);
        Ok(())
    }
}

#[tokio::test]
async fn what_is_strange_and_readable_is_handled() {
    let typed = |payload: String| record(payload).with_header(headers::EVENT_TYPE, "desk.note.taken");
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let start = r#"{"eventId":"s-3","pad":"p","number":3,"more":""#;
    let large = format!(r#"{start}{}"}}"#, "x".repeat(MAX_PAYLOAD_BYTES - start.len() - 2));
    assert_eq!(large.len(), MAX_PAYLOAD_BYTES);
    let records = [
        // Another language: snake_case, no headers, no key, white space.
        record(
            "\n { \"event_id\": \"s-0\", \"event_type\": \"desk.note.taken\", \"pad\": \"p\", \"number\": 0 } \n",
        ),
        typed(r#"{"eventId":"s-1","pad":"a\u0000b\ud83d\ude00","number":1}"#.to_owned()).with_key("\0key\n"),
        typed(format!(r#"{{"eventId":"s-2","pad":"p","number":2,"unknown":{deep}}}"#)),
        typed(large),
        // CloudEvents in binary form have id and type in headers of their own.
        record(r#"{"pad":"p","number":4}"#)
            .with_header(headers::CE_ID, "s-4")
            .with_header(headers::CE_TYPE, "desk.note.taken"),
        typed(r#"{"pad":"p","number":5}"#.to_owned())
            .with_header("x-binary", b"\xff\x00".as_slice())
            .with_header("", "no name")
            .with_header(headers::ID, "s-5"),
        // A later minor version of the same major one, and none.
        typed(r#"{"eventId":"s-6","pad":"p","number":6,"dataVersion":"1.17"}"#.to_owned()),
        typed(r#"{"eventId":"s-7","pad":"p","number":7,"dataVersion":"1"}"#.to_owned()),
        // If the type in the header is not text, the payload has it.
        record(r#"{"eventId":"s-8","eventType":"desk.note.taken","pad":"p","number":8}"#)
            .with_header(headers::EVENT_TYPE, b"\xff".as_slice()),
        typed(format!(r#"{{"eventId":"{}","pad":"p","number":9}}"#, "ü".repeat(100))),
    ];
    let console = Console::new().await;
    console.publish(&records).await;
    let seen = Arc::new(Seen::default());
    let running = Running::start(console.consumer().on_with(Arc::clone(&seen), Seen::write_down));
    running.until("all are handled", |stats| stats.handled + stats.dead == records.len() as u64).await;
    running.stop().await;

    assert!(console.failed_messages().await.is_empty(), "{:?}", console.failed_messages().await[0].error);
    let mut notes = console.notes().await;
    notes.sort_unstable();
    assert_eq!(notes, (0..10).collect::<Vec<_>>());
    let seen = seen.0.lock().unwrap();
    let of = |number: i64| seen.iter().find(|note| note.data.number == number).unwrap();
    assert_eq!(of(1).data.pad, "a\0b😀");
    assert_eq!((of(1).aggregate_id.as_deref(), of(0).aggregate_id.as_deref()), (Some("\0key\n"), None));
    let headers = &of(5).delivery().unwrap().headers;
    assert_eq!(headers.get("x-binary").map(|value| &**value), Some(b"\xff\x00".as_slice()));
}

#[tokio::test]
async fn unknown_types_are_ignored_and_counted_whatever_they_hold() {
    let console = Console::new().await;
    let strangers = [
        record("garbage").with_header(headers::EVENT_TYPE, "desk.note.burnt"),
        record("").with_header(headers::EVENT_TYPE, "no type at all!"),
        record(r#"{"eventType":"desk.note.burnt","eventId":"u-1"}"#),
        record(b"\xff".as_slice()).with_header(headers::CE_TYPE, "Desk").with_key(b"\xff".as_slice()),
    ];
    console.publish(&strangers).await;
    console.publish(&[note(1)]).await;
    let running = Running::start(console.consumer().on(write_down));
    running.until("the note behind them is handled", |stats| stats.handled == 1).await;
    let stats = running.stop().await;
    assert_eq!((stats.ignored, stats.dead, stats.set_aside), (4, 0, 0));
    assert_eq!(console.notes().await, [1]);
    let cursor = "SELECT next FROM messagekit_consumer_cursors";
    assert_eq!(console.numbers(cursor).await, [5], "the cursor moved over them");
}

#[tokio::test]
async fn unknown_types_can_be_dead_letters_until_a_handler_exists() {
    let console = Console::new().await;
    let stranger = br#"{"pad":"p","number":7}"#.as_slice();
    console
        .publish(&[record(stranger)
            .with_header(headers::EVENT_TYPE, "desk.note.burnt")
            .with_header(headers::ID, "u-7")])
        .await;
    let running = Running::start(console.consumer().on(write_down).on_unknown(OnUnknown::DeadLetter));
    running.until("it is kept", |stats| stats.dead == 1).await;
    running.stop().await;
    let failed_message = console.failed_messages().await.remove(0);
    assert_eq!((&*failed_message.kind, &*failed_message.received.id.to_string()), ("unknown_type", "u-7"));
    assert!(failed_message.error.contains("deploy one, then retry"), "{}", failed_message.error);

    console.retry(failed_message.id).await.unwrap();
    let running = Running::start(console.consumer().on(write_down).on_json("desk.note.burnt", burnt));
    running.until("the new handler has it", |stats| stats.handled == 1).await;
    running.stop().await;
    assert_eq!(console.notes().await, [-7]);
    assert_eq!(console.failed_messages().await[0].state, FailedMessageState::Resolved);
}

async fn burnt(tx: &mut SqliteTx, note: Envelope<serde_json::Value>) -> Result<(), HandlerError> {
    let number = note.data["number"].as_i64().ok_or_else(|| HandlerError::permanent("no number"))?;
    write(tx, -number).await?;
    Ok(())
}

#[tokio::test]
async fn an_error_that_quotes_hostile_text_is_kept_as_one_clean_line() {
    async fn quote(_: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        Err(HandlerError::permanent(format!("pad {} is full", note.data.pad)))
    }
    let console = Console::new().await;
    let pad = r#"a\u0000b\n\u001b[2Jc"#;
    let long = "x".repeat(100_000);
    for (id, pad) in [("q-1", pad), ("q-2", &long)] {
        let payload =
            format!(r#"{{"eventId":"{id}","eventType":"desk.note.taken","pad":"{pad}","number":1}}"#);
        console.publish(&[record(payload)]).await;
    }
    let running = Running::start(console.consumer().on(quote));
    running.until("both are dead", |stats| stats.dead == 2).await;
    running.stop().await;
    let failed_messages = console.failed_messages().await;
    assert_eq!(failed_messages[0].error, "pad a b  [2Jc is full");
    assert_eq!(failed_messages[1].error.chars().count(), 4_000);
}
