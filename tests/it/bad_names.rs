//! Topics, types, payloads and consumers that break the rules: refused before anything is written.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::adapter::{MAX_PAYLOAD_BYTES, PublishErrorKind, Publisher};
use messagekit::{Consumer, Envelope, ErrorKind, Event, Message, Outbox, Store, chain};
use serde::{Deserialize, Serialize};

use crate::console::{Console, NoteTaken, note, write, write_down};

/// An event with names that the derive macro would refuse.
#[derive(Serialize, Deserialize)]
struct Unruly<const TYPE: usize, const TOPIC: usize> {
    text: String,
}

const TYPES: [&str; 4] = ["desk.note.taken", "Desk.Note", "note", "desk.note taken"];
const TOPICS: [&str; 4] = ["desk.note", "desk note", "", ".."];

impl<const TYPE: usize, const TOPIC: usize> Event for Unruly<TYPE, TOPIC> {
    const TYPE: &'static str = TYPES[TYPE];
    const TOPIC: &'static str = TOPICS[TOPIC];

    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

fn unruly<const TYPE: usize, const TOPIC: usize>(text: &str) -> Unruly<TYPE, TOPIC> {
    Unruly { text: text.to_owned() }
}

/// Requires that adding fails with one line, and that the transaction continues without the event.
async fn adding_is_refused<E: Event>(
    console: &Console,
    event: impl Into<Envelope<E>>,
    kind: ErrorKind,
    says: &str,
) {
    let outbox = Outbox::new(console.store.clone(), "desk").unwrap();
    let mut tx = console.store.begin().await.unwrap();
    write(&mut tx, 1).await.unwrap();
    let error = outbox.add(&mut tx, event).await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.contains(says) && !text.contains('\n') && text.len() < 400, "{text}");
    outbox.commit(tx).await.unwrap();
    let kept =
        "SELECT (SELECT count(*) FROM messagekit_topic_records) + (SELECT count(*) FROM messagekit_topics)";
    assert_eq!(console.numbers(kept).await, [0], "nothing of it was written: {text}");
}

#[tokio::test]
async fn types_outside_the_grammar_are_refused() {
    let console = Console::new().await;
    let says = "is not two or more segments of a-z 0-9 - joined by dots, like orders.order.placed";
    adding_is_refused(&console, unruly::<1, 0>("x"), ErrorKind::InvalidEvent, says).await;
    adding_is_refused(&console, unruly::<2, 0>("x"), ErrorKind::InvalidEvent, says).await;
    adding_is_refused(&console, unruly::<3, 0>("x"), ErrorKind::InvalidEvent, "\"desk.note taken\"").await;
    let mut renamed = Envelope::new(NoteTaken { pad: "p".into(), number: 1 });
    renamed.event_type = "desk.note.\ntaken".into();
    adding_is_refused(&console, renamed, ErrorKind::InvalidEvent, says).await;
}

#[tokio::test]
async fn topics_with_spaces_are_refused_wherever_they_are_named() {
    let console = Console::new().await;
    let says = "is not 1 to 249 characters of a-z A-Z 0-9 . _ -, like orders.order";
    adding_is_refused(&console, unruly::<0, 1>("x"), ErrorKind::InvalidEvent, "topic \"desk note\"").await;
    adding_is_refused(&console, unruly::<0, 2>("x"), ErrorKind::InvalidEvent, says).await;
    adding_is_refused(&console, unruly::<0, 3>("x"), ErrorKind::InvalidEvent, says).await;

    let published =
        console.store.publisher().publish(&[Message::new("desk note", "x")]).await.remove(0).unwrap_err();
    assert_eq!(
        (published.refusal, published.error.kind()),
        (PublishErrorKind::Rejected, ErrorKind::InvalidEvent)
    );
    assert!(chain(&published).contains(says), "{}", chain(&published));

    let reading =
        Consumer::builder("reader", console.store.clone()).from(console.store.topics(["desk note"]));
    let error = reading.on(write_down).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    assert!(chain(&error).contains(says), "{}", chain(&error));
}

#[tokio::test]
async fn payloads_over_the_limit_are_refused_and_the_limit_is_not() {
    let console = Console::new().await;
    let large = "x".repeat(MAX_PAYLOAD_BYTES);
    let says = "is over the limit of 900000: keep the large part elsewhere and send a reference";
    adding_is_refused(&console, unruly::<0, 0>(&large), ErrorKind::TooLarge, says).await;

    let fits = Message::new("desk.note", large.clone()).with_key("fits");
    let over = Message::new("desk.note", large + "x").with_key("over");
    let behind = note(1).with_key("over");
    let results = console.store.publisher().publish(&[fits, over, behind, note(2)]).await;
    let refusals: Vec<Option<PublishErrorKind>> =
        results.iter().map(|result| result.as_ref().err().map(|error| error.refusal)).collect();
    assert_eq!(refusals, [None, Some(PublishErrorKind::Rejected), Some(PublishErrorKind::KeyBlocked), None]);
    assert!(chain(results[1].as_ref().unwrap_err()).contains(says));
    assert_eq!(
        console.numbers("SELECT length(payload) FROM messagekit_topic_records ORDER BY pos LIMIT 1").await,
        [900_000]
    );
    assert_eq!(console.numbers("SELECT count(*) FROM messagekit_topic_records").await, [2]);
}

#[tokio::test]
async fn a_consumer_says_everything_that_is_wrong_with_it_at_once() {
    let console = Console::new().await;
    let builder = |name: &str| {
        Consumer::builder(name, console.store.clone()).from(console.store.topics([NoteTaken::TOPIC]))
    };
    let error = builder("bill ing").deadline(Duration::ZERO).build().unwrap_err();
    let text = chain(&error);
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    for says in
        ["\"bill ing\" is not 1 to 200 characters", "no handler: add one with .on(handler)", "deadline of 0"]
    {
        assert!(text.contains(says), "{text}");
    }
    let twice =
        builder("reader").on(write_down).on(write_down).attempts(NonZeroU32::MIN).build().unwrap_err();
    assert!(
        chain(&twice).contains("two handlers for one major version of an event type: keep one"),
        "{}",
        chain(&twice)
    );

    let nowhere: [&str; 0] = [];
    let consumer =
        Consumer::builder("reader", console.store.clone()).from(console.store.topics(nowhere)).on(write_down);
    let error = consumer.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    assert!(error.to_string().contains("a source without topics delivers nothing"), "{error}");
}
