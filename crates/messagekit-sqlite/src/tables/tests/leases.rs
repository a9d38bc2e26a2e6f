//! Failed messages that are set aside, and retried.

use super::*;

#[test]
fn a_message_that_is_settled_is_not_set_aside() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    let again = failed_messages::set_aside(
        &conn,
        consumer,
        &Way::default(),
        &received("a"),
        &retry_after(LEASE),
        NOW,
    )
    .unwrap();
    assert_eq!(again, SetAsideOutcome::AlreadySettled);
    processed::claim(&conn, consumer, &[request("b", 0)], NOW).unwrap();
    let done = failed_messages::set_aside(
        &conn,
        consumer,
        &Way::default(),
        &received("b"),
        &retry_after(LEASE),
        NOW,
    )
    .unwrap();
    assert_eq!(done, SetAsideOutcome::AlreadySettled);
    assert_eq!(failed_message_lists::list(&conn, &FailedMessageFilter::default(), 10).unwrap().len(), 1);
}

#[test]
fn failed_message_without_marker_is_corrupt_unless_resolved() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let over_open = failed_messages::set_aside(
        &conn,
        consumer,
        &Way::default(),
        &received("a"),
        &retry_after(LEASE),
        NOW,
    )
    .unwrap_err();
    assert_eq!(over_open.kind(), ErrorKind::Corrupt);
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    assert!(retries::resolve(&conn, consumer, &leased, &[], NOW).unwrap());
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let again = failed_messages::set_aside(
        &conn,
        consumer,
        &Way::default(),
        &received("a"),
        &retry_after(LEASE),
        NOW,
    )
    .unwrap();
    assert_eq!(again, SetAsideOutcome::SetAside);
    assert_eq!(
        failed_message_lists::show(&conn, leased.failed_message).unwrap().state,
        FailedMessageState::RetryScheduled
    );
}

#[test]
fn an_expired_retry_lease_is_due_again_and_counts_a_crash() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    assert!(retries::any_due(&conn, "billing", NOW).unwrap());
    let first = retries::lease(&conn, consumer, 5, LEASE, NOW).unwrap().remove(0);
    assert_eq!((first.attempt, first.crash_count), (2, 0));
    assert!(!retries::any_due(&conn, "billing", NOW + 9 * SECOND).unwrap());
    assert!(retries::lease(&conn, consumer, 5, LEASE, NOW + 9 * SECOND).unwrap().is_empty());
    let second = retries::lease(&conn, consumer, 5, LEASE, NOW + 10 * SECOND).unwrap().remove(0);
    assert_eq!((second.attempt, second.crash_count), (3, 1));
    for outdated in [
        retries::resolve(&conn, consumer, &first, &[], NOW).unwrap(),
        retries::fail(&conn, consumer, &first, &retry_after(LEASE), NOW).unwrap(),
        retries::hand_back(&conn, consumer, &first, LEASE, NOW).unwrap(),
    ] {
        assert!(!outdated);
    }
    assert!(retries::resolve(&conn, consumer, &second, &[], NOW).unwrap());
    assert_eq!(processed::claim(&conn, consumer, &[request("a", 0)], NOW).unwrap(), [Claim::Done]);
}

#[test]
fn leases_go_to_the_failed_message_that_is_due_longest() {
    let conn = database();
    let consumer = names::consumer(&conn, "billing").unwrap();
    for (text, seconds) in [("late", 3), ("early", 1), ("middle", 2), ("not yet", 60)] {
        let failure = retry_after(Duration::from_secs(seconds));
        failed_messages::set_aside(&conn, consumer, &Way::default(), &received(text), &failure, NOW).unwrap();
    }
    let leased = retries::lease(&conn, consumer, 2, LEASE, NOW + 5 * SECOND).unwrap();
    let order: Vec<_> = leased.iter().map(|leased| leased.received.id.as_str()).collect();
    assert_eq!(order, ["early", "middle"]);
    assert!(retries::lease(&conn, 99, 9, LEASE, NOW + 99 * SECOND).unwrap().is_empty(), "another consumer");
}

#[test]
fn a_failed_run_waits_or_dies_as_the_failure_says() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    let lease = |now| retries::lease(&conn, consumer, 1, LEASE, now).unwrap().remove(0);
    let leased = lease(NOW);
    assert!(retries::fail(&conn, consumer, &leased, &retry_after(Duration::from_secs(2)), NOW).unwrap());
    let failed_message = failed_message_lists::show(&conn, leased.failed_message).unwrap();
    assert_eq!(failed_message.state, FailedMessageState::RetryScheduled);
    assert_eq!(failed_message.due.unwrap().as_microsecond(), NOW + 2 * SECOND);
    let leased = lease(NOW + 2 * SECOND);
    assert_eq!(leased.crash_count, 0, "a run that came back is no kill");
    let dead = Failure::permanent(FailureKind::Panicked, "boom");
    assert!(retries::fail(&conn, consumer, &leased, &dead, NOW + 3 * SECOND).unwrap());
    let failed_message = failed_message_lists::show(&conn, leased.failed_message).unwrap();
    assert_eq!(
        (failed_message.state, failed_message.due, failed_message.kind.as_str()),
        (FailedMessageState::Dead, None, "panicked")
    );
    assert_eq!(failed_message.changed_at.as_microsecond(), NOW + 3 * SECOND);
    assert_eq!(failed_message.fingerprint, dead.fingerprint());
}

#[test]
fn a_lease_handed_back_costs_no_attempt() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    assert!(retries::hand_back(&conn, consumer, &leased, Duration::from_secs(1), NOW).unwrap());
    assert!(!retries::any_due(&conn, "billing", NOW).unwrap());
    assert!(!retries::hand_back(&conn, consumer, &leased, LEASE, NOW).unwrap(), "an answered lease is over");
    assert!(!retries::resolve(&conn, consumer, &leased, &[], NOW).unwrap());
    let again = retries::lease(&conn, consumer, 1, LEASE, NOW + SECOND).unwrap().remove(0);
    assert_eq!((again.attempt, again.crash_count), (leased.attempt, 0));
}

/// The process that took the lease is gone, and the clock stands before it.
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
