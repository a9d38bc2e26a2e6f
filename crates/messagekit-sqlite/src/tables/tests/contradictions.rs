//! Failed messages that contradict their markers, and the index of due ones.

use super::*;

#[test]
fn a_resolved_failed_message_without_a_held_marker_is_corrupt() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    conn.execute("UPDATE messagekit_processed_messages SET outcome = 0", []).unwrap();
    assert_eq!(retries::resolve(&conn, consumer, &leased, &[], NOW).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn due_failed_messages_are_found_by_their_index() {
    let conn = database();
    let due = retries::due_sql().replace("?1", "1").replace("?2", "1").replace("?3", "1");
    for (select, index) in [
        (
            due.as_str(),
            "messagekit_failed_messages_due",
        ),
        (
            "SELECT id FROM messagekit_failed_messages d
             WHERE d.origin = 'queue' AND d.origin <> 'store' AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= 1
               AND d.return_to IS NOT NULL ORDER BY d.due, d.id LIMIT 1",
            "messagekit_failed_messages_returns",
        ),
        (
            "SELECT consumer_id, state, count(*) FROM messagekit_failed_messages GROUP BY consumer_id, state",
            "COVERING INDEX messagekit_failed_messages_consumer",
        ),
        (
            "SELECT id FROM messagekit_failed_messages WHERE consumer_id = 1 AND state = 'dead' ORDER BY id DESC LIMIT 1",
            "messagekit_failed_messages_consumer",
        ),
    ] {
        let plan = format!("EXPLAIN QUERY PLAN {select}");
        let plan: String = conn.query_row(&plan, [], |row| row.get(3)).unwrap();
        assert!(plan.contains(index), "{plan}");
    }
}

#[test]
fn a_discarded_failed_message_without_marker_opens_again() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    assert_eq!(act(&conn, Action::Discard, &[1]), [ActionResult::Done]);
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let again = set_aside(&conn, consumer, "a", LEASE).unwrap();
    assert_eq!(again, SetAsideOutcome::SetAside);
    let shown = failed_message_lists::show(&conn, 1).unwrap();
    assert_eq!((shown.state, shown.reason), (FailedMessageState::RetryScheduled, StateReason::SetAside));
}

#[test]
fn message_that_is_held_is_not_unclaimed() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    processed::unclaim(&conn, consumer, &request("a", 0), None).unwrap();
    assert_eq!(processed::claim(&conn, consumer, &[request("a", 0)], NOW).unwrap(), [Claim::Held]);
}

#[test]
fn action_is_refused_when_failed_message_contradicts_marker() {
    let conn = database();
    due_failed_message(&conn, "a");
    conn.execute("UPDATE messagekit_processed_messages SET outcome = 0", []).unwrap();
    let refused = act(&conn, Action::Discard, &[1]);
    assert_eq!(refused, [ActionResult::Settled]);
}

#[test]
fn failed_message_without_marker_is_corrupt_unless_resolved() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let over_open = set_aside(&conn, consumer, "a", LEASE).unwrap_err();
    assert_eq!(over_open.kind(), ErrorKind::Corrupt);
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    assert!(retries::resolve(&conn, consumer, &leased, &[], NOW).unwrap());
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let again = set_aside(&conn, consumer, "a", LEASE).unwrap();
    assert_eq!(again, SetAsideOutcome::SetAside);
    assert_eq!(
        failed_message_lists::show(&conn, leased.failed_message).unwrap().state,
        FailedMessageState::RetryScheduled
    );
}
