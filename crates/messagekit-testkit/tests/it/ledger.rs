//! The ledger and its verdict.

use messagekit_testkit::ledger::{Entry, Kind, Ledger, check};

fn entry(kind: Kind, id: &str, amount: i64) -> Entry {
    Entry { kind, id: id.to_owned(), amount }
}

fn effects(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|(id, amount)| ((*id).to_owned(), *amount)).collect()
}

#[test]
fn what_is_recorded_is_read_back_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    for (kind, id) in [(Kind::Asked, "a"), (Kind::Confirmed, "a \"quoted\"\n")] {
        Ledger::open(&path).unwrap().record(kind, id, 5).unwrap();
    }
    let read = Ledger::read(&path).unwrap();
    assert_eq!(read, [entry(Kind::Asked, "a", 5), entry(Kind::Confirmed, "a \"quoted\"\n", 5)]);
}

#[test]
fn torn_last_line_is_ignored_and_a_broken_line_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    Ledger::open(&path).unwrap().record(Kind::Asked, "a", 5).unwrap();
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(r#"{"kind":"asked","id":"b","am"#);
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Ledger::read(&path).unwrap(), [entry(Kind::Asked, "a", 5)]);
    Ledger::open(&path).unwrap().record(Kind::Asked, "c", 6).unwrap();
    assert_eq!(Ledger::read(&path).unwrap(), [entry(Kind::Asked, "a", 5), entry(Kind::Asked, "c", 6)]);
    std::fs::write(&path, text + "\n").unwrap();
    assert_eq!(Ledger::read(&path).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    std::fs::write(&path, "").unwrap();
    assert_eq!(Ledger::read(&path).unwrap(), []);
}

#[test]
fn kept_promises_are_clean_with_or_without_an_answer() {
    let ledger = [
        entry(Kind::Asked, "a", 5),
        entry(Kind::Confirmed, "a", 5),
        entry(Kind::Asked, "b", 7),
        entry(Kind::Asked, "c", 9),
        entry(Kind::Confirmed, "d", 11),
    ];
    let verdict = check(&ledger, effects(&[("a", 5), ("b", 7)]), ["d".to_owned()]);
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!((verdict.confirmed_sum, verdict.applied_sum), (16, 12));
    assert_eq!((verdict.unconfirmed_applied, verdict.dead), (1, 1));
}

#[test]
fn each_broken_promise_is_named() {
    let ledger = ["a", "b", "c", "d"].map(|id| entry(Kind::Confirmed, id, 5));
    let found = effects(&[("b", 5), ("b", 5), ("c", 5), ("d", 6), ("x", 1)]);
    let verdict = check(&ledger, found, ["c".to_owned(), "y".to_owned()]);
    assert!(!verdict.is_clean());
    assert_eq!(verdict.lost, ["a"]);
    assert_eq!(verdict.doubled, ["b"]);
    assert_eq!(verdict.applied_and_dead, ["c"]);
    assert_eq!(verdict.changed, ["d"]);
    assert_eq!(verdict.phantom, ["x", "y"]);
}

#[test]
fn what_was_withdrawn_must_not_be_there() {
    let ledger = [
        entry(Kind::Asked, "a", 5),
        entry(Kind::Withdrawn, "a", 5),
        entry(Kind::Asked, "b", 7),
        entry(Kind::Withdrawn, "b", 7),
    ];
    let verdict = check(&ledger, effects(&[("a", 5)]), []);
    assert_eq!(
        (verdict.phantom, verdict.lost, verdict.unconfirmed_applied),
        (vec!["a".to_owned()], vec![], 1)
    );
}
