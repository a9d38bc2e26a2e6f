//! What people see of letters, and do with them.

use super::*;

#[test]
fn a_dead_letter_is_retried_once_and_dies_again_when_that_run_fails() {
    let conn = database();
    let consumer = names::consumer(&conn, "billing").unwrap();
    let dead = Failure::permanent(FailureKind::Permanent, "no");
    letters::set_aside(&conn, consumer, &Way::default(), &received("a"), &dead, NOW).unwrap();
    let letter = desk::list(&conn, &LetterFilter::default(), 1).unwrap().remove(0);
    let retry = || acts::act(&conn, Act::Retry, &[letter.id, 999], &Actor::new("ada", "test"), NOW).unwrap();
    assert_eq!(retry(), [Acted::Done, Acted::NotFound]);
    assert_eq!(retry(), [Acted::WrongState(LetterState::Replaying), Acted::NotFound], "a second click");
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    assert_eq!(leased.attempt, 1);
    assert!(retries::fail(&conn, consumer, &leased, &retry_after(Duration::ZERO), NOW).unwrap());
    assert_eq!(desk::show(&conn, letter.id).unwrap().state, LetterState::Dead);
}

#[test]
fn a_resolved_letter_without_a_held_marker_is_corrupt() {
    let conn = database();
    let consumer = due_letter(&conn, "a");
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    conn.execute("UPDATE messagekit_processed_messages SET outcome = 0", []).unwrap();
    assert_eq!(retries::resolve(&conn, consumer, &leased, &[], NOW).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn letters_are_listed_newest_first_and_by_every_filter() {
    let conn = database();
    let failure = retry_after(LEASE);
    for (consumer, text, event_type) in [("a", "1", "x.y"), ("b", "2", "x.y"), ("b", "3", "x.z")] {
        let consumer = names::consumer(&conn, consumer).unwrap();
        let mut received = received(text);
        received.message.headers = Headers::new();
        received.message.headers.set(headers::EVENT_TYPE, event_type);
        letters::set_aside(&conn, consumer, &Way::default(), &received, &failure, NOW).unwrap();
    }
    let ids = |filter: LetterFilter| -> Vec<String> {
        let letters = desk::list(&conn, &filter, 2).unwrap();
        letters.into_iter().map(|letter| letter.message_id.to_string()).collect()
    };
    let all = LetterFilter::default();
    assert_eq!(ids(all.clone()), ["3", "2"]);
    assert_eq!(ids(LetterFilter { before: Some(2), ..all.clone() }), ["1"]);
    assert_eq!(ids(LetterFilter { consumer: Some("a".into()), ..all.clone() }), ["1"]);
    assert_eq!(ids(LetterFilter { event_type: Some("x.z".into()), ..all.clone() }), ["3"]);
    assert!(ids(LetterFilter { state: Some(LetterState::Dead), ..all }).is_empty());
    assert_eq!(desk::show(&conn, i64::MAX).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn due_letters_are_found_by_their_index() {
    let conn = database();
    let due = retries::due_sql().replace("?1", "1").replace("?2", "1").replace("?3", "1");
    for (select, index) in [
        (
            due.as_str(),
            "messagekit_dead_letters_due",
        ),
        (
            "SELECT id FROM messagekit_dead_letters d
             WHERE d.origin = 'queue' AND d.origin <> 'store' AND d.state IN ('retrying', 'replaying') AND d.due <= 1
               AND d.return_to IS NOT NULL ORDER BY d.due, d.id LIMIT 1",
            "messagekit_dead_letters_returns",
        ),
        (
            "SELECT consumer_id, state, count(*) FROM messagekit_dead_letters GROUP BY consumer_id, state",
            "COVERING INDEX messagekit_dead_letters_consumer",
        ),
        (
            "SELECT id FROM messagekit_dead_letters WHERE consumer_id = 1 AND state = 'dead' ORDER BY id DESC LIMIT 1",
            "messagekit_dead_letters_consumer",
        ),
    ] {
        let plan = format!("EXPLAIN QUERY PLAN {select}");
        let plan: String = conn.query_row(&plan, [], |row| row.get(3)).unwrap();
        assert!(plan.contains(index), "{plan}");
    }
}

#[test]
fn a_discarded_letter_without_marker_opens_again() {
    let conn = database();
    let consumer = due_letter(&conn, "a");
    let ada = Actor::new("ada", "test");
    assert_eq!(acts::act(&conn, Act::Discard, &[1], &ada, NOW).unwrap(), [Acted::Done]);
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let again =
        letters::set_aside(&conn, consumer, &Way::default(), &received("a"), &retry_after(LEASE), NOW)
            .unwrap();
    assert_eq!(again, SetAsideOutcome::SetAside);
    assert_eq!(desk::show(&conn, 1).unwrap().state, LetterState::Retrying);
}

#[test]
fn an_act_on_a_letter_that_contradicts_its_marker_is_refused() {
    let conn = database();
    due_letter(&conn, "a");
    conn.execute("UPDATE messagekit_processed_messages SET outcome = 0", []).unwrap();
    let refused = acts::act(&conn, Act::Discard, &[1], &Actor::new("ada", "test"), NOW).unwrap();
    assert_eq!(refused, [Acted::Settled]);
}
