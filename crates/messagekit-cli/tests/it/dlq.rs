//! `messagekit dlq`.

use serde_json::{Value, json};

use crate::command::{messagekit_with, on};
use crate::desk::{Desk, message};

fn ids(list: &Value) -> Vec<i64> {
    list["letters"].as_array().unwrap().iter().map(|letter| letter["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_file_without_letters_says_so() {
    let desk = Desk::empty().await;
    assert_eq!(on(&desk.file(), &["dlq", "list"]).text(), "no dead letters\n");
    assert_eq!(on(&desk.file(), &["dlq", "list", "--json"]).json(), json!({ "letters": [] }));
}

#[tokio::test]
async fn the_list_is_newest_first_and_can_be_narrowed_and_paged() {
    let desk = Desk::with((0..5).map(|_| message(Some(b"c-7"), b"{}"))).await;
    let list = |more: &[&str]| ids(&on(&desk.file(), &[&["dlq", "list", "--json"], more].concat()).json());
    assert_eq!(list(&[]), [5, 4, 3, 2, 1]);
    assert_eq!(list(&["--limit", "2"]), [5, 4]);
    assert_eq!(list(&["--limit", "2", "--before", "4"]), [3, 2]);
    assert_eq!(list(&["--state", "dead"]), [5, 3, 1]);
    assert_eq!(list(&["--state", "retrying"]), [4, 2]);
    assert_eq!(list(&["--consumer", "billing", "--type", "orders.order.placed", "--limit", "1"]), [5]);
    assert_eq!(list(&["--consumer", "nobody"]), Vec::<i64>::new());
    assert_eq!(list(&["--type", "orders.order.paid"]), Vec::<i64>::new());

    let table = on(&desk.file(), &["dlq", "list", "--limit", "2"]).text();
    for text in
        ["billing", "dead", "retrying", "c-7", "permanent", "order 5 has no customer", "more: --before 4"]
    {
        assert!(table.contains(text), "{text:?} is missing:\n{table}");
    }
}

#[tokio::test]
async fn a_letter_is_shown_whole() {
    let payload = br#"{"customer":null,"pence":7}"#;
    let desk = Desk::with([message(Some(b"\xfe\x01"), payload)]).await;
    let mut letter = on(&desk.file(), &["dlq", "show", "1", "--json"]).json();
    for time in ["set_aside_at", "changed_at"] {
        let time = letter.as_object_mut().unwrap().remove(time).unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    let fingerprint = letter.as_object_mut().unwrap().remove("fingerprint").unwrap();
    assert_eq!(fingerprint.as_str().unwrap().len(), 16);
    assert_eq!(
        letter,
        json!({
            "id": 1, "consumer": "billing", "state": "dead", "message_id": "m-1", "event_type": "orders.order.placed",
            "topic": "orders.order", "partition": 3, "offset": 1, "key": { "hex": "fe01" }, "attempts": 1, "kills": 0,
            "due": null, "kind": "permanent", "error": "order 1 has no customer", "payload_bytes": payload.len(),
            "headers": { "eventType": "orders.order.placed", "tenant": { "hex": "ff6e6f727468" } },
            "payload": r#"{"customer":null,"pence":7}"#,
        })
    );
    let text = on(&desk.file(), &["dlq", "show", "1"]).text();
    for line in [
        "1 of consumer billing",
        "orders.order/3/1",
        "0xfe01",
        "tenant: 0xff6e6f727468",
        "27 bytes",
        "changed ",
    ] {
        assert!(text.contains(line), "{line:?} is missing:\n{text}");
    }
    let url = format!("sqlite:{}", desk.file().display());
    let retry = "to run it once more: messagekit dlq retry 1";
    assert!(text.ends_with(&format!("{retry} --database {url}\n")), "{text}");
    let named = messagekit_with(&["dlq", "show", "1"], &[("MESSAGEKIT_DATABASE_URL", &url)]).text();
    assert!(named.ends_with(&format!("{retry}\n")), "{named}");
}

#[tokio::test]
async fn what_strangers_sent_cannot_move_the_cursor_of_a_terminal() {
    let hostile = "\u{1b}[2J\u{7}\u{202e}evil\r\n";
    let mut sent = message(Some(hostile.as_bytes()), hostile.as_bytes());
    sent.headers.set("eventType", hostile.as_bytes().to_vec());
    let desk = Desk::with([sent]).await;
    for arguments in [&["dlq", "list"][..], &["dlq", "show", "1"][..]] {
        let text = on(&desk.file(), arguments).text();
        assert!(text.contains("evil"), "{text}");
        let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(hidden), "{text:?}");
    }
    let letter = on(&desk.file(), &["dlq", "show", "1", "--json"]).json();
    assert_eq!(
        (&letter["key"], &letter["payload"]),
        (&json!(hostile), &json!(hostile)),
        "JSON keeps every character"
    );
}

#[tokio::test]
async fn a_retry_is_accepted_once() {
    let desk = Desk::with((0..4).map(|_| message(None, b"{}"))).await;
    let state = |id: &str| on(&desk.file(), &["dlq", "show", id, "--json"]).json()["state"].clone();
    assert_eq!(
        on(&desk.file(), &["dlq", "retry", "1"]).text(),
        "1: accepted, its consumer runs it once more\n"
    );
    assert_eq!(state("1"), "replaying");

    // What can be done is done, and the exit code says that something could not.
    let answer = on(&desk.file(), &["dlq", "retry", "1", "2", "3", "99", "--json"]);
    assert_eq!(answer.code, 1);
    answer.explained(&["3 of 4 not accepted"]);
    let letters: Value = serde_json::from_str(&answer.out).unwrap();
    let accepted =
        letters["letters"].as_array().unwrap().iter().map(|letter| letter["accepted"].as_bool().unwrap());
    assert_eq!(accepted.collect::<Vec<_>>(), [false, false, true, false]);
    let said = |index: usize| letters["letters"][index]["text"].as_str().unwrap().to_owned();
    assert!(said(0).contains("letter 1 is replaying"), "{}", said(0));
    assert!(said(1).contains("letter 2 is retrying"), "{}", said(1));
    assert!(said(3).contains("there is no dead letter 99"), "{}", said(3));
    assert_eq!((state("2"), state("3")), (json!("retrying"), json!("replaying")));
}
