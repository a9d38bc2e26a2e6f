//! Operators' lists of failed messages, and their actions.

use super::*;

#[test]
fn a_requested_retry_runs_once_and_is_dead_when_it_fails() {
    let conn = database();
    let consumer = names::consumer(&conn, "billing").unwrap();
    let dead = Failure::permanent(FailureKind::Permanent, "no");
    failed_messages::set_aside(&conn, consumer, &Way::default(), &received("a"), &dead, NOW).unwrap();
    let failed_message =
        failed_message_lists::list(&conn, &FailedMessageFilter::default(), 1).unwrap().remove(0);
    let retry = || act(&conn, Action::Retry, &[failed_message.id, 999]);
    assert_eq!(retry(), [ActionResult::Done, ActionResult::NotFound]);
    assert_eq!(
        retry(),
        [ActionResult::WrongState(FailedMessageState::RetryRequested), ActionResult::NotFound],
        "a second click"
    );
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    assert_eq!(leased.attempt, 1);
    assert!(retries::fail(&conn, consumer, &leased, &retry_after(Duration::ZERO), NOW).unwrap());
    assert_eq!(failed_message_lists::show(&conn, failed_message.id).unwrap().state, FailedMessageState::Dead);
}

#[test]
fn a_resolved_failed_message_without_a_held_marker_is_corrupt() {
    let conn = database();
    let consumer = due_failed_message(&conn, "a");
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    conn.execute("UPDATE messagekit_processed_messages SET outcome = 0", []).unwrap();
    assert_eq!(retries::resolve(&conn, consumer, &leased, &[], NOW).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn failed_messages_are_listed_newest_first_and_by_every_filter() {
    let conn = database();
    let failure = retry_after(LEASE);
    for (consumer, text, event_type) in [("a", "1", "x.y"), ("b", "2", "x.y"), ("b", "3", "x.z")] {
        let consumer = names::consumer(&conn, consumer).unwrap();
        let mut received = received(text);
        received.message.headers = Headers::new();
        received.message.headers.set(headers::EVENT_TYPE, event_type);
        failed_messages::set_aside(&conn, consumer, &Way::default(), &received, &failure, NOW).unwrap();
    }
    let ids = |filter: FailedMessageFilter| -> Vec<String> {
        let failed_messages = failed_message_lists::list(&conn, &filter, 2).unwrap();
        failed_messages.into_iter().map(|failed_message| failed_message.message_id.to_string()).collect()
    };
    let all = FailedMessageFilter::default();
    assert_eq!(ids(all.clone()), ["3", "2"]);
    assert_eq!(ids(FailedMessageFilter { before: Some(2), ..all.clone() }), ["1"]);
    assert_eq!(ids(FailedMessageFilter { consumer: Some("a".into()), ..all.clone() }), ["1"]);
    assert_eq!(ids(FailedMessageFilter { event_type: Some("x.z".into()), ..all.clone() }), ["3"]);
    assert!(ids(FailedMessageFilter { state: Some(FailedMessageState::Dead), ..all }).is_empty());
    assert_eq!(failed_message_lists::show(&conn, i64::MAX).unwrap_err().kind(), ErrorKind::NotFound);
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
    let shown = failed_message_lists::show(&conn, 1).unwrap();
    assert_eq!((shown.state, shown.reason), (FailedMessageState::RetryScheduled, StateReason::SetAside));
}

#[test]
fn action_is_refused_when_failed_message_contradicts_marker() {
    let conn = database();
    due_failed_message(&conn, "a");
    conn.execute("UPDATE messagekit_processed_messages SET outcome = 0", []).unwrap();
    let refused = act(&conn, Action::Discard, &[1]);
    assert_eq!(refused, [ActionResult::Settled]);
}
