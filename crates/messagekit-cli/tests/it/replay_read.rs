//! `messagekit replay read`: what is written, from where, and until when.

use messagekit::Message;
use serde_json::{Value, json};

use crate::analysis::append;
use crate::command::{messagekit, messagekit_with};
use crate::shell::Shell;

fn documents(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The numbers of the records, in the order in which they are written.
fn numbers(text: &str) -> Vec<i64> {
    documents(text).iter().map(|row| row["value"]["n"].as_i64().unwrap()).collect()
}

fn number(topic: &str, number: i64) -> Message {
    Message::new(topic, json!({ "n": number }).to_string()).with_header("id", format!("m-{number}"))
}

/// Two topics in turns: odd numbers are orders, even ones bills.
async fn in_turns(count: i64) -> Shell {
    let shell = Shell::new();
    let messages: Vec<_> =
        (1..=count).map(|at| number(if at % 2 == 1 { "orders" } else { "bills" }, at)).collect();
    append(&shell, &messages).await;
    shell
}

#[tokio::test]
async fn topics_are_written_in_the_order_of_their_time() {
    let shell = in_turns(9).await;
    let both = ["--source", "orders:earliest", "--source", "bills:earliest"];
    let text = shell.read(&both).text();
    assert_eq!(numbers(&text), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let row = &documents(&text)[1];
    let names: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["key", "offset", "partition", "timestamp", "topic", "value"]);
    let small = shell.read(&[&both[..], &["--batch-size", "1", "--max-held", "1"]].concat()).text();
    assert_eq!(small, text, "a bounded buffer changes nothing");
    let idle = ["--idle-timeout", "60s", "--cutoff", "2030-01-01", "--until", "live"];
    assert_eq!(shell.read(&[&both[..], &idle].concat()).text(), text);
}

#[tokio::test]
async fn each_start_leaves_out_what_is_in_front_of_it() {
    let shell = in_turns(8).await;
    let read = |start: &str| numbers(&shell.read(&["--source", &format!("orders:{start}")]).text());
    assert_eq!(read("earliest"), [1, 3, 5, 7]);
    assert_eq!(read("latest"), [0; 0]);
    assert_eq!(read("offset=2"), [5, 7]);
    assert_eq!(read("ago=1h"), [1, 3, 5, 7]);
    assert_eq!(read("at=2030-01-01"), [0; 0]);
    // At midnight in Kiritimati it is noon in Pago Pago: one of the two days began 2 h ago at least.
    let days = ["start-of-day=Pacific/Kiritimati", "start-of-day=Pacific/Pago_Pago"].map(read);
    assert!(days.contains(&vec![1, 3, 5, 7]), "{days:?}");
    assert_eq!(read("committed=billing"), [1, 3, 5, 7], "a consumer without a position");
    let fifth = &documents(&shell.read(&["--source", "orders:offset=2"]).text())[0]["timestamp"];
    let fifth = fifth.as_str().unwrap();
    assert_eq!(read(&format!("at={fifth}")), [5, 7]);
    let earlier = shell.read(&["--source", "orders:earliest", "--until", fifth]).text();
    assert_eq!(numbers(&earlier), [1, 3], "an end and a start of one time leave nothing out");
}

#[tokio::test]
async fn a_consumer_is_read_from_its_position_and_keeps_it() {
    let shell = Shell::with(&["notes"]);
    for number in 1..=3 {
        shell.topics(&["append", "notes", &json!({ "n": number }).to_string()]).text();
    }
    let claim = ["consume", "notes", "--consumer", "billing", "--claim", "2", "--max", "2"];
    shell.topics(&claim).text();
    for _ in 0..2 {
        assert_eq!(numbers(&shell.read(&["--source", "notes:committed=billing"]).text()), [3]);
    }
}

#[tokio::test]
async fn headers_and_event_ids_are_written_on_request() {
    let shell = in_turns(1).await;
    let row =
        &documents(&shell.read(&["--source", "orders:earliest", "--columns", "headers,event-id"]).text())[0];
    assert_eq!(row["event_id"], "m-1");
    assert!(row["headers"].as_array().unwrap().contains(&json!({"name": "id", "value": "m-1"})), "{row}");
    let text = shell.read(&["--source", "orders:earliest", "--format", "csv"]).text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "key,key_encoding,value,value_encoding,topic,partition,offset,timestamp");
    assert!(lines[1].starts_with(r#",,"{""n"":1}",utf8,orders,"#), "{text}");
}

#[tokio::test]
async fn a_live_reader_goes_on_until_it_is_stopped() {
    let shell = in_turns(2).await;
    let running =
        shell.reading(&["--source", "orders:earliest", "--source", "bills:latest", "--until", "never"]);
    assert_eq!(numbers(&running.line()), [1]);
    // What is live comes as it is found: two topics at once would come in either order.
    for (topic, live) in [("bills", 4), ("orders", 5)] {
        append(&shell, &[number(topic, live)]).await;
        assert_eq!(numbers(&running.line()), [live]);
    }
    running.signal("TERM");
    running.prints_no_more();
    assert_eq!(running.ends(), (Some(0), String::new()));
}

#[test]
fn a_mistake_names_its_source_and_what_to_write() {
    let shell = Shell::with(&["notes"]);
    shell.topics(&["append", "notes", r#"{"n":1}"#]).text();
    let refused = |arguments: &[&str], code: i32, says: &[&str]| shell.read(arguments).refused(code, says);
    refused(&[], 2, &["--source"]);
    refused(&["--source", "notes"], 2, &["'notes'", "TOPIC:START", "start-of-day=Europe/Berlin"]);
    refused(&["--source", "notes:soon"], 2, &["'notes:soon'", "committed=CONSUMER"]);
    refused(
        &["--source", "notes:start-of-day=Nowhere"],
        2,
        &["notes:start-of-day=Nowhere", "no such time zone"],
    );
    refused(&["--source", "notes:earliest", "--until", "soon"], 2, &["--until", "live", "never"]);
    refused(&["--source", "notes:earliest", "--batch-size", "0"], 2, &["--batch-size", "from 1"]);
    refused(&["--source", "absent:earliest"], 1, &["no such topic", "absent"]);
    refused(&["--source", "notes:offset=9"], 1, &["offset 9", "notes", "earliest 0", "end 1"]);
    refused(&["--source", "notes:latest", "--source", "notes:earliest"], 2, &["duplicate topic", "notes"]);
}

#[test]
fn topics_are_those_of_a_database_or_of_kafka() {
    let source = ["replay", "read", "--source", "notes:earliest"];
    messagekit(&source).refused(2, &["--database URL or --kafka SERVERS"]);
    let both = ["--database", "sqlite:shop.db", "--kafka", "127.0.0.1:9"];
    messagekit(&[&source[..], &both].concat()).refused(2, &["one of --database and --kafka"]);
    let wrong = [("MESSAGEKIT_DATABASE_URL", "redis://h/s3cret")];
    messagekit_with(&source, &wrong).refused(2, &["not a database this program knows"]);
}
