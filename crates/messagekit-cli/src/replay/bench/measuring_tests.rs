//! From polled batches to the report, its table and its verdict.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::Record;
use messagekit::{Error, ErrorKind, Message, Position};
use serde_json::{Value, json};

use super::Measured;
use super::measuring::Measuring;
use super::order::{PastEnd, Rules};
use super::report::Report;

/// Records of partition 0 of a topic: 100 bytes at each of these offsets and seconds.
fn batch(topic: &str, records: &[(i64, i64)]) -> Vec<Record> {
    let record = |(offset, second): &(i64, i64)| Record {
        message: Message::new(topic, vec![b'x'; 100]),
        position: Position { topic: topic.into(), partition: 0, offset: *offset },
        timestamp: Timestamp::from_second(*second).ok(),
        is_tombstone: false,
    };
    records.iter().map(record).collect()
}

/// Measures batches of two topics, a second each; the reader is live behind the last one.
fn measured(batches: &[Vec<Record>]) -> Report {
    let rules = Rules { batch_size: 2, latest: Timestamp::MAX, cutoff: None, waits_for_all: true };
    let past = ["orders", "bills"].map(|topic| PastEnd { topic: topic.into(), partition: 0, end: 9 });
    let mut measuring = Measuring::new(rules, &past, None);
    measuring.polled(&[], Duration::ZERO, false);
    for (batch, second) in batches.iter().zip(1..) {
        let after = Duration::from_secs(second);
        measuring.polled(batch, after, second == batches.len() as u64);
        measuring.kept(batch, after);
    }
    measuring.polled(&[], Duration::from_secs(7), true);
    measuring.end(Duration::from_secs(8), 3, 4).0
}

/// Returns a figure to the nearest tenth: the check takes time, too.
fn tenths(value: &Value) -> f64 {
    (value.as_f64().unwrap() * 10.0).round() / 10.0
}

#[test]
fn a_run_is_counted_from_its_first_batch_to_live() {
    let report = measured(&[batch("orders", &[(0, 10), (1, 20)]), batch("bills", &[(0, 30)])]);
    let violations = json!({
        "batch_too_large": 0, "offset_repeated": 0, "offset_backwards": 0, "time_backwards": 0, "first": null
    });
    let shown = json!(report);
    for (name, wanted) in [
        ("seconds", 8.0),
        ("seconds_of_check", 0.0),
        ("records_per_second", 1.5),
        ("seconds_to_first_batch", 1.0),
        ("seconds_to_last_batch", 2.0),
        ("seconds_to_live", 2.0),
    ] {
        assert!((tenths(&shown[name]) - wanted).abs() < 0.01, "{name} {}", shown[name]);
    }
    for (name, wanted) in [
        ("records", 3),
        ("bytes", 300),
        ("batches", 2),
        ("batch_size", 2),
        ("largest_batch", 2),
        ("ahead", 3),
    ] {
        assert_eq!(shown[name], wanted, "{name}");
    }
    assert_eq!((&shown["late"], &shown["deleted"]), (&json!(0), &json!(4)));
    assert_eq!(shown["is_time_checked_across_partitions"], true);
    assert_eq!(shown["violations"], violations);
    assert!(report.verdict().is_ok());
    let nothing = json!(measured(&[]));
    assert_eq!((&nothing["seconds_to_first_batch"], &nothing["batches"]), (&json!(null), &json!(0)));
}

#[test]
fn a_broken_run_is_refused_with_its_first_violation() {
    let broken =
        [batch("orders", &[(0, 10), (1, 40)]), batch("bills", &[(0, 30)]), batch("orders", &[(1, 40)])];
    let report = measured(&broken);
    let error = report.verdict().unwrap_err();
    // Every kind but a wrong configuration ends the program with 1.
    assert_eq!(error.kind(), ErrorKind::WrongState);
    let first = "time backwards: bills, partition 0, offset 0, at 1970-01-01T00:00:30Z, came behind orders, partition 0, offset 1, at 1970-01-01T00:00:40Z";
    assert!(error.to_string().contains(&format!("2 violations; the first is {first}")), "{error}");
    let table = report.table().to_string();
    for row in ["time backwards", "offset repeated", "came behind orders"] {
        assert!(table.contains(row), "{row}: {table}");
    }
    assert_eq!(
        json!(report)["violations"]["first"],
        json!({
            "kind": "time_backwards",
            "record": {"topic": "bills", "partition": 0, "offset": 0, "time": "1970-01-01T00:00:30Z"},
            "behind": {"topic": "orders", "partition": 0, "offset": 1, "time": "1970-01-01T00:00:40Z"},
        })
    );
}

#[test]
fn a_run_ends_with_what_it_found_or_what_ended_it() {
    let broken = || measured(&[batch("orders", &[(1, 10), (0, 20)])]);
    let run = |report, failed| Measured { report, trace: None, failed }.finish(None);
    assert!(run(broken(), None).unwrap_err().to_string().contains("1 violation"));
    let silent = Error::new(ErrorKind::Unavailable, "the log does not answer");
    assert_eq!(run(broken(), Some(silent)).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(run(measured(&[batch("orders", &[(0, 10), (1, 20)])]), None).is_ok());
}
