//! What is on its way of a log, without threads. Beside its file, which the model of its wake-ups reads, too.

use super::flow::*;

#[test]
fn thread_is_woken_once_when_half_of_a_partition_is_free() {
    let flow = Flow::new(2);
    (0..PAGES).for_each(|_| flow.sent(1, 10));
    assert!(flow.has_room(0) && !flow.has_room(1));
    assert!(flow.wait() && !flow.wait());
    assert!(!flow.received(10));
    let woken: Vec<usize> = (1..=PAGES).filter(|_| flow.returned(1, 1)).collect();
    assert_eq!(woken, [PAGES / 2]);
    assert!(flow.has_room(1) && flow.wait());
}

#[test]
fn large_pages_leave_no_room_for_other_partitions() {
    let flow = Flow::new(2);
    flow.sent(0, BYTES);
    assert!(!flow.has_room(1) && flow.wait());
    assert!(flow.received(BYTES) && flow.has_room(1));
}

#[test]
fn pages_of_many_partitions_are_smaller() {
    assert_eq!(Flow::new(1).page_limits(), (RECORDS.0, PAGE.1));
    assert_eq!(Flow::new(64).page_limits().1, 64 * 1024);
    assert_eq!(Flow::new(100_000).page_limits().1, PAGE.0);
    let flow = Flow::new(1);
    flow.wish(0);
    assert_eq!(flow.page_limits().0, 1);
}

#[test]
fn one_error_is_on_its_way_at_a_time() {
    let flow = Flow::new(1);
    assert!(flow.may_report() && !flow.may_report());
    flow.reported();
    assert!(flow.may_report());
}
