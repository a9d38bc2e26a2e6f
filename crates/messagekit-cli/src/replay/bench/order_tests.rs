//! What the check finds, and what it lets pass.

use jiff::Timestamp;
use messagekit::log::Record;
use messagekit::{Message, Position};

use super::order::{Order, PastEnd, Rules};
use super::violation::{Kind, Violations};

const RULES: Rules = Rules { batch_size: 9, latest: Timestamp::MAX, cutoff: None, waits_for_all: true };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A topic, an offset of its partition 0, and a time, unless it is below 0.
fn record((topic, offset, second): &(&str, i64, i64)) -> Record {
    Record {
        message: Message::new(*topic, "1"),
        position: Position { topic: (*topic).into(), partition: 0, offset: *offset },
        timestamp: (*second >= 0).then(|| at(*second)),
        is_tombstone: false,
    }
}

/// Checks batches of the topics `a` and `b`, whose pasts have offsets below 100.
fn checked(rules: Rules, batches: &[&[(&str, i64, i64)]]) -> Order {
    let past = ["a", "b"].map(|topic| PastEnd { topic: topic.into(), partition: 0, end: 100 });
    let mut order = Order::new(rules, &past);
    for batch in batches {
        let batch: Vec<_> = batch.iter().map(record).collect();
        order.check_size(&batch);
        order.check(&batch);
    }
    order
}

/// The counts of a check, and its first violation in words.
fn found(rules: Rules, batches: &[&[(&str, i64, i64)]]) -> (u64, Option<Kind>, String) {
    let order = checked(rules, batches);
    let violations = order.violations();
    let first = violations.first.as_ref();
    let words = first.map(ToString::to_string).unwrap_or_default();
    (violations.count(), first.map(|first| first.kind), words)
}

#[test]
fn what_is_sorted_has_no_violation() {
    let order = checked(RULES, &[&[("a", 0, 10), ("b", 0, 10), ("a", 1, 20)], &[("b", 5, 20), ("b", 6, 30)]]);
    assert_eq!((order.violations(), order.late()), (&Violations::default(), 0));
}

#[test]
fn an_offset_that_comes_again_is_found() {
    let (count, kind, words) = found(RULES, &[&[("a", 0, 10), ("a", 1, 20)], &[("a", 1, 20), ("a", 2, 30)]]);
    assert_eq!((count, kind), (1, Some(Kind::OffsetRepeated)));
    assert_eq!(
        words,
        "offset repeated: a, partition 0, offset 1, at 1970-01-01T00:00:20Z, came behind a, partition 0, offset 1, at 1970-01-01T00:00:20Z"
    );
}

#[test]
fn an_offset_that_goes_backwards_is_found() {
    let (count, kind, words) = found(RULES, &[&[("a", 5, 10), ("b", 0, 15), ("a", 3, 20), ("a", 4, 20)]]);
    assert_eq!((count, kind), (2, Some(Kind::OffsetBackwards)), "both lie behind the greatest");
    assert!(
        words.contains("offset 3, at 1970-01-01T00:00:20Z, came behind a, partition 0, offset 5"),
        "{words}"
    );
}

#[test]
fn a_time_behind_that_of_another_partition_is_found() {
    let (count, kind, words) = found(RULES, &[&[("a", 0, 10), ("a", 1, 40)], &[("b", 0, 30), ("b", 1, 40)]]);
    assert_eq!((count, kind), (1, Some(Kind::TimeBackwards)));
    assert_eq!(
        words,
        "time backwards: b, partition 0, offset 0, at 1970-01-01T00:00:30Z, came behind a, partition 0, offset 1, at 1970-01-01T00:00:40Z"
    );
}

#[test]
fn equal_times_are_in_the_order_of_their_partitions() {
    let (count, kind, _) = found(RULES, &[&[("b", 0, 10), ("a", 0, 10)]]);
    assert_eq!((count, kind), (1, Some(Kind::TimeBackwards)));
    let (count, ..) = found(RULES, &[&[("a", 0, 10), ("b", 0, 10), ("b", 1, 10)]]);
    assert_eq!(count, 0);
}

#[test]
fn a_batch_above_its_size_is_found() {
    let rules = Rules { batch_size: 2, ..RULES };
    let (count, kind, words) =
        found(rules, &[&[("a", 0, 1), ("a", 1, 2)], &[("a", 2, 3), ("a", 3, 4), ("b", 7, 5), ("b", 8, 6)]]);
    assert_eq!((count, kind), (1, Some(Kind::BatchTooLarge)));
    assert!(
        words.contains("b, partition 0, offset 7") && words.contains("came behind a, partition 0, offset 3"),
        "{words}"
    );
}

#[test]
fn the_first_violation_of_several_is_kept() {
    let rules = Rules { batch_size: 3, ..RULES };
    let batches: [&[_]; 2] =
        [&[("a", 0, 50), ("b", 0, 40)], &[("a", 0, 50), ("b", 1, 30), ("b", 1, 60), ("a", 9, 70)]];
    let order = checked(rules, &batches);
    let Violations { batch_too_large, offset_repeated, offset_backwards, time_backwards, first } =
        order.violations().clone();
    assert_eq!((batch_too_large, offset_repeated, offset_backwards, time_backwards), (1, 2, 0, 2));
    assert_eq!(first.map(|first| (first.kind, first.record.offset)), Some((Kind::TimeBackwards, 0)));
}

#[test]
fn a_time_behind_its_own_partition_is_late_and_in_order() {
    let order = checked(RULES, &[&[("a", 0, 10), ("a", 1, 40), ("a", 2, 15), ("a", 3, -1), ("b", 0, 40)]]);
    assert_eq!((order.violations().count(), order.late()), (0, 1), "a record without a time is not late");
    let (count, kind, _) = found(RULES, &[&[("a", 0, 40), ("a", 1, 15), ("b", 0, 39)]]);
    assert_eq!((count, kind), (1, Some(Kind::TimeBackwards)), "what is late does not lower the frontier");
}

#[test]
fn times_far_ahead_are_in_any_order() {
    let rules = Rules { latest: at(100), ..RULES };
    let ahead: &[_] = &[("a", 0, 10), ("a", 1, 900), ("b", 0, 105), ("b", 1, 100)];
    assert_eq!(found(rules, &[ahead]).0, 0);
    assert_eq!(found(rules, &[&[("a", 0, 900), ("b", 0, 99)]]).0, 1);
}

#[test]
fn behind_the_past_only_offsets_are_ordered() {
    let live: &[_] = &[("a", 99, 50), ("a", 100, 40), ("b", 100, 30), ("c", 0, 10), ("a", 101, 20)];
    assert_eq!(found(RULES, &[live]).0, 0, "a topic without a past is live, too");
    assert_eq!(found(RULES, &[live, &[("c", 0, 60)]]).1, Some(Kind::OffsetRepeated));
    let past_behind_live: &[_] = &[("a", 0, 50), ("a", 100, 90), ("b", 3, 40)];
    assert_eq!(found(RULES, &[past_behind_live]).1, Some(Kind::TimeBackwards));
}

#[test]
fn the_order_ends_at_the_cutoff_of_each_partition() {
    let rules = Rules { cutoff: Some(at(100)), ..RULES };
    let free: &[_] = &[("a", 0, 90), ("b", 0, 100), ("a", 1, 300), ("b", 1, 120), ("a", 2, 95), ("b", 2, 70)];
    assert_eq!(found(rules, &[free]).0, 0);
    assert_eq!(found(rules, &[&[("a", 0, 90), ("b", 0, 80), ("a", 1, 120)]]).1, Some(Kind::TimeBackwards));
}

#[test]
fn what_an_idle_partition_brings_then_is_late() {
    let rules = Rules { waits_for_all: false, ..RULES };
    let order = checked(rules, &[&[("a", 0, 10), ("a", 1, 90), ("b", 0, 50), ("b", 1, 60), ("b", 2, 95)]]);
    assert_eq!((order.violations().count(), order.late()), (0, 2));
    assert_eq!(found(rules, &[&[("a", 1, 10), ("a", 1, 20)]]).1, Some(Kind::OffsetRepeated));
}
