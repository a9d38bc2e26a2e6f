//! `messagekit replay read`: at its end nothing in front of it is missing, and nothing behind it is written.

use std::io::Read;
use std::process::Child;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::Message;
use messagekit_sqlite::rusqlite::Connection;
use serde_json::{Value, json};

use crate::analysis::append;
use crate::shell::{Running, Shell, ended};

const THREE: [&str; 6] =
    ["--source", "orders:earliest", "--source", "bills:earliest", "--source", "notes:earliest"];
const HOUR: Duration = Duration::from_secs(3_600);

fn numbered(topic: &str, numbers: std::ops::RangeInclusive<i64>) -> Vec<Message> {
    let message =
        |n: i64| Message::new(topic, json!({ "n": n }).to_string()).with_header("id", format!("m-{n}"));
    numbers.map(message).collect()
}

fn number(line: &str) -> i64 {
    serde_json::from_str::<Value>(line).unwrap()["value"]["n"].as_i64().unwrap()
}

/// The numbers of the records, from the lowest on.
fn sorted(text: &str) -> Vec<i64> {
    let mut numbers: Vec<_> = text.lines().map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Gives records another time, as the clock of another machine may.
fn stamp(shell: &Shell, numbers: std::ops::RangeInclusive<i64>, time: Timestamp) {
    let file = Connection::open(shell.file()).unwrap();
    for number in numbers {
        let id = format!("m-{number}");
        let update = "UPDATE messagekit_topic_records SET created_at = ?1 WHERE event_id = ?2";
        assert_eq!(file.execute(update, (time.as_microsecond(), id)).unwrap(), 1);
    }
}

/// A payload that is larger than what a pipe holds.
fn large(number: i64) -> String {
    json!({ "n": number, "fill": "x".repeat(200_000) }).to_string()
}

/// Starts a reader of large records, two at a time. It waits at the full pipe until the rest of its output is taken.
fn behind_its_first_batch(shell: &Shell) -> (Child, impl FnOnce() -> String) {
    let mut child = shell.reading_unread(&["--source", "orders:earliest", "--batch-size", "2"]);
    let mut out = child.stdout.take().unwrap();
    let mut text = vec![0];
    out.read_exact(&mut text).unwrap();
    let rest = move || {
        out.read_to_end(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    (child, rest)
}

/// Starts a reader of the records 1 to 3 whose end lies ahead, and stops its process in front of the end.
fn stopped_in_front_of_its_end(shell: &Shell) -> (Running, Timestamp) {
    for seconds in [1, 5, 25, 125] {
        let end = Timestamp::now() + Duration::from_secs(seconds);
        let until = ["--until", &end.to_string(), "--batch-size", "1"];
        let running = shell.reading(&[&THREE[..], &until].concat());
        if (1..=3).all(|_| Timestamp::now() < end && (1..=3).contains(&number(&running.line()))) {
            running.signal("STOP");
            if Timestamp::now() < end {
                return (running, end);
            }
        }
    }
    panic!("no reader came to its past in time");
}

#[tokio::test]
async fn an_end_that_lies_ahead_loses_no_record() {
    let shell = Shell::new();
    for (topic, n) in [("orders", 1), ("bills", 2), ("notes", 3)] {
        append(&shell, &numbered(topic, n..=n)).await;
    }
    let (running, end) = stopped_in_front_of_its_end(&shell);
    for (topic, numbers) in [("orders", 10..=12), ("bills", 20..=24), ("notes", 30..=34)] {
        append(&shell, &numbered(topic, numbers.clone())).await;
        stamp(&shell, numbers, if topic == "orders" { end + HOUR } else { end - HOUR });
    }
    while Timestamp::now() <= end {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal("CONT");
    let mut rest: Vec<_> = (0..10).map(|_| number(&running.line())).collect();
    rest.sort_unstable();
    assert_eq!(rest, [20, 21, 22, 23, 24, 30, 31, 32, 33, 34]);
    running.prints_no_more();
    assert_eq!(running.ends(), (Some(0), String::new()));
}

#[tokio::test]
async fn a_partition_that_was_idle_is_read_to_the_end() {
    let shell = Shell::new();
    let end: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    append(&shell, &numbered("orders", 1..=9)).await;
    append(&shell, &numbered("bills", 10..=40)).await;
    stamp(&shell, 1..=40, end - HOUR);
    stamp(&shell, 2..=9, end + HOUR);
    let two = ["--source", "orders:earliest", "--source", "bills:earliest"];
    let until = ["--until", "2020-01-01", "--idle-timeout", "1us", "--batch-size", "1"];
    let wanted: Vec<_> = [1].into_iter().chain(10..=40).collect();
    assert_eq!(sorted(&shell.read(&[&two[..], &until].concat()).text()), wanted);
    let beyond = ["--source", "orders:at=2020-01-01", "--until", "2020-01-01"];
    assert_eq!(shell.read(&beyond).text(), "", "the end is in front of the start");
}

#[tokio::test]
async fn what_lies_behind_a_cutoff_is_written_before_the_end() {
    let shell = Shell::new();
    for (topic, numbers) in [("orders", 1..=9), ("bills", 10..=12), ("notes", 13..=13)] {
        append(&shell, &numbered(topic, numbers)).await;
    }
    let ahead = Timestamp::now() + HOUR / 2;
    stamp(&shell, 3..=9, ahead + HOUR / 6);
    for cutoff in [ahead.to_string().as_str(), "2020-01-01"] {
        let bounds = ["--cutoff", cutoff, "--batch-size", "2"];
        let text = shell.read(&[&THREE[..], &bounds].concat()).text();
        assert_eq!(sorted(&text), (1..=13).collect::<Vec<_>>(), "{cutoff}");
    }
}

#[tokio::test]
async fn live_ends_in_front_of_what_comes_while_it_reads() {
    let shell = Shell::new();
    let messages: Vec<_> = (1..=5).map(|n| Message::new("orders", large(n))).collect();
    append(&shell, &messages).await;
    let (child, rest) = behind_its_first_batch(&shell);
    append(&shell, &numbered("orders", 6..=6)).await;
    assert_eq!(sorted(&rest()), [1, 2, 3, 4, 5], "the last page reaches behind the end");
    assert_eq!(ended(child).status.code(), Some(0));
}

#[test]
fn a_topic_that_is_made_again_meanwhile_is_refused() {
    let shell = Shell::with(&["orders"]);
    let lines: Vec<_> = (1..=6).map(large).collect();
    shell.piped(&["append", "orders"], lines.join("\n").as_bytes()).text();
    let (child, rest) = behind_its_first_batch(&shell);
    shell.topics(&["drop", "orders", "--yes"]).text();
    shell.topics(&["create", "orders"]).text();
    rest();
    let output = ended(child);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("truncated or made again") && errors.contains("topic orders"), "{errors}");
}
