//! What an end leaves out, and when it is reached.

use jiff::Timestamp;
use messagekit::log::Record;
use messagekit::{Message, Position};

use super::ending::Ending;
use super::until::Until;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn position((partition, offset): (i32, i64)) -> Position {
    Position { topic: "m".into(), partition, offset }
}

/// Positions of the partitions from 0 on.
fn positions(offsets: &[i64]) -> Vec<Position> {
    (0..).zip(offsets.iter().copied()).map(position).collect()
}

/// Records of a partition, an offset and a second.
fn records(of: &[(i32, i64, i64)]) -> Vec<Record> {
    let record = |(partition, offset, at): &(i32, i64, i64)| Record {
        message: Message::new("m", "1"),
        position: position((*partition, *offset)),
        timestamp: Some(second(*at)),
        is_tombstone: false,
    };
    of.iter().map(record).collect()
}

/// What an end leaves of records.
fn kept(ending: &mut Ending, of: &[(i32, i64, i64)]) -> Vec<(i32, i64)> {
    let mut records = records(of);
    ending.cut(&mut records);
    records.iter().map(|record| (record.position.partition, record.position.offset)).collect()
}

#[test]
fn the_past_ends_at_the_first_record_of_the_time() {
    let mut ending = Ending::new(Until::Time(second(20)), []);
    assert_eq!(ending.wanted(second(99)), Some(second(20)));
    ending.bound(positions(&[2, 1]));
    assert_eq!(ending.wanted(second(99)), None);
    assert_eq!(kept(&mut ending, &[(0, 0, 10), (1, 0, 19)]), [(0, 0), (1, 0)]);
    assert!(!ending.is_reached(&positions(&[1, 1])));
    let late = [(0, 1, 19), (1, 1, 20), (1, 2, 15), (0, 2, 25)];
    assert_eq!(kept(&mut ending, &late), [(0, 1)], "what is late behind it is read from that time on");
    assert!(ending.is_reached(&positions(&[2, 1])));
}

#[test]
fn an_end_by_time_waits_for_every_partition() {
    let mut ending = Ending::new(Until::Time(second(20)), []);
    assert_eq!(kept(&mut ending, &[(0, 0, 21), (0, 1, 22)]), []);
    assert_eq!(kept(&mut ending, &[]), []);
    ending.bound(positions(&[0, 2]));
    assert!(!ending.is_reached(&positions(&[2, 0])), "one that is idle may still bring what is older");
    assert_eq!(kept(&mut ending, &[(1, 0, 18)]), [(1, 0)]);
    assert!(!ending.is_reached(&positions(&[2, 1])));
    assert_eq!(kept(&mut ending, &[(1, 1, 19), (1, 2, 20)]), [(1, 1)]);
    assert!(ending.is_reached(&positions(&[2, 3])));
}

#[test]
fn a_time_that_has_not_come_bounds_nothing() {
    let mut ending = Ending::new(Until::Time(second(20)), []);
    assert_eq!(ending.wanted(second(19)), None);
    assert_eq!(kept(&mut ending, &[(0, 0, 25), (0, 1, 12), (1, 0, 19)]), [(1, 0)]);
    assert!(!ending.is_reached(&positions(&[2, 1])), "each may bring more until the time has come");
    assert_eq!(ending.wanted(second(20)), Some(second(20)));
}

#[test]
fn what_was_left_out_once_stays_behind_the_end() {
    let mut ending = Ending::new(Until::Time(second(20)), []);
    assert_eq!(kept(&mut ending, &[(0, 3, 20)]), []);
    ending.bound(positions(&[5]));
    assert_eq!((kept(&mut ending, &[(0, 4, 12)]), ending.is_reached(&positions(&[3]))), (vec![], true));
}

#[test]
fn records_that_were_deleted_are_not_waited_for() {
    let mut ending = Ending::new(Until::Time(second(20)), []);
    ending.bound(positions(&[4, 7]));
    assert!(ending.is_reached(&positions(&[9, 7])), "nothing in front of the bound is kept");
}

#[test]
fn live_leaves_out_what_lies_behind_the_recorded_ends() {
    let mut ending = Ending::new(Until::Live, positions(&[2, 1, 0]));
    assert!(!ending.is_reached(&positions(&[2, 0, 0])));
    let page = [(0, 1, 30), (0, 2, 10), (1, 0, 40), (2, 0, 5), (3, 0, 5)];
    assert_eq!(kept(&mut ending, &page), [(0, 1), (1, 0)]);
    assert!(ending.is_reached(&positions(&[3, 1, 1, 1])));
}

#[test]
fn a_partition_that_was_added_is_read_before_the_end() {
    let mut ending = Ending::new(Until::Time(second(20)), []);
    ending.bound(positions(&[1, 1, 0]));
    assert!(!ending.is_reached(&positions(&[1])));
    assert_eq!(kept(&mut ending, &[(1, 0, 18), (3, 0, 18)]), [(1, 0)], "one that is newer is left out");
    assert!(ending.is_reached(&positions(&[1, 1])), "one without a record is not waited for");
}

#[test]
fn never_cuts_nothing_and_has_no_end() {
    let mut ending = Ending::new(Until::Never, positions(&[0]));
    assert_eq!(kept(&mut ending, &[(0, 10, 1), (5, 30, 2)]), [(0, 10), (5, 30)]);
    assert!(!ending.is_reached(&positions(&[11])) && ending.wanted(second(99)).is_none());
}
