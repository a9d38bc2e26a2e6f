//! Leases that a later clock has taken.

use super::*;

/// The process that took the lease is gone, and the clock is before it.
#[test]
fn a_retry_lease_of_a_later_clock_is_over() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    let taken = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    let back = NOW - 3_600 * SECOND;
    assert_eq!(retries::end_later_leases(&conn, NOW).unwrap(), 0, "it lives");
    assert_eq!(retries::end_later_leases(&conn, back).unwrap(), 1);
    assert!(retries::any_due(&conn, "billing", back).unwrap());
    let again = retries::lease(&conn, consumer, 1, LEASE, back).unwrap().remove(0);
    assert_eq!((again.failed_message, again.crash_count), (taken.failed_message, 1));
    assert!(!retries::any_due(&conn, "billing", back).unwrap(), "the new lease holds");
    assert!(!retries::resolve(&conn, consumer, &taken, &[], back).unwrap(), "the old one is fenced out");
}

#[test]
fn a_relay_lease_of_a_later_clock_is_over() {
    let conn = database();
    conn.execute("INSERT INTO messagekit_topics (name, partitions, leaves) VALUES ('t', 1, 1)", []).unwrap();
    let lease = |name, now, length: i64| shards::lease(&conn, name, now + length, now).unwrap();
    let old = lease("old", NOW, 4 * SECOND).held;
    assert_eq!(old.len(), 64);
    assert_eq!(lease("new", NOW + SECOND, 4 * SECOND).held.len(), 0, "it lives");

    let back = NOW - 3_600 * SECOND;
    assert_eq!(lease("new", back, 4 * SECOND).held.len(), 64);
    assert!(!shards::holds(&conn, "old", old[0], back).unwrap());
    // A longer lease than one's own is none of a later clock.
    lease("new", back + SECOND, 30 * SECOND);
    assert_eq!(lease("other", back + 2 * SECOND, SECOND).held.len(), 0);
}
