//! Failed messages that block their keys.

use messagekit::ParkingLimits;
use rusqlite::StatementStatus;

use super::super::{blocked_keys, parking};
use super::*;

const LIMITS: ParkingLimits = ParkingLimits { per_key: 1_000, in_all: 100_000 };

fn placed(text: &str, key: &str, offset: i64) -> ReceivedMessage {
    let position = Position { topic: Arc::from("t"), partition: 0, offset };
    ReceivedMessage {
        id: id(text),
        message: Message::new("t", "payload").with_key(key.to_owned()),
        position: Some(position),
    }
}

fn keyed(received: &ReceivedMessage) -> ClaimRequest {
    ClaimRequest { key: received.message.key.clone(), ..request(received.id.as_str(), 0) }
}

fn claim(conn: &Connection, received: &ReceivedMessage) -> Claim {
    processed::claim(conn, 1, &[keyed(received)], NOW).unwrap()[0]
}

fn park(conn: &Connection, received: &ReceivedMessage, failure: &Failure) -> SetAsideOutcome {
    names::consumer(conn, "billing").unwrap();
    parking::park(conn, 1, received, failure, LIMITS, NOW).unwrap()
}

/// Claims a message behind its key, and parks it.
fn behind(conn: &Connection, received: &ReceivedMessage) {
    assert_eq!(claim(conn, received), Claim::KeyBlocked);
    assert_eq!(parking::park_behind(conn, 1, std::slice::from_ref(received), LIMITS, NOW).unwrap(), 1);
}

fn states(conn: &Connection) -> Vec<String> {
    let mut select = conn
        .prepare("SELECT message_id || ' ' || state FROM messagekit_failed_messages ORDER BY offset")
        .unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn run_next(conn: &Connection) -> Option<String> {
    let leased = retries::lease(conn, 1, 1, LEASE, NOW).unwrap().pop()?;
    assert!(retries::resolve(conn, 1, &leased, &[], NOW).unwrap());
    Some(leased.received.id.to_string())
}

#[test]
fn messages_behind_a_parked_one_run_after_it_in_their_order() {
    let conn = database();
    let [a, b, c] = [1, 2, 3].map(|n| placed(&format!("m{n}"), "k", n));
    assert_eq!(park(&conn, &a, &retry_after(Duration::ZERO)), SetAsideOutcome::SetAside);
    let other = placed("other", "j", 4);
    assert_eq!(claim(&conn, &other), Claim::Fresh, "another key");
    for later in [&b, &c] {
        behind(&conn, later);
        assert_eq!(claim(&conn, later), Claim::Held, "a late copy");
    }
    assert_eq!(states(&conn), ["m1 retry_scheduled", "m2 blocked", "m3 blocked"]);
    let failed_message = failed_message_lists::show(&conn, 2).unwrap();
    assert_eq!(
        (failed_message.kind.as_str(), failed_message.attempts, failed_message.due),
        ("key_blocked", 0, None)
    );

    assert_eq!(run_next(&conn).as_deref(), Some("m1"));
    assert_eq!(states(&conn), ["m1 resolved", "m2 retry_scheduled", "m3 blocked"]);
    assert_eq!(claim(&conn, &placed("m4", "k", 5)), Claim::KeyBlocked);
    assert_eq!(run_next(&conn).as_deref(), Some("m2"));
    assert_eq!(run_next(&conn).as_deref(), Some("m3"));
    assert_eq!(run_next(&conn), None);
    assert_eq!(claim(&conn, &placed("m5", "k", 6)), Claim::Fresh, "the key is free");
}

#[test]
fn a_key_is_held_for_one_consumer_and_one_topic() {
    let conn = database();
    park(&conn, &placed("a", "k", 1), &retry_after(Duration::ZERO));
    let asked = |topic: &str, key: Option<&'static str>| ClaimRequest {
        topic: Arc::from(topic),
        key: key.map(Bytes::from),
        ..request(&format!("{topic}{key:?}"), 0)
    };
    let claims =
        processed::claim(&conn, 1, &[asked("t", Some("k")), asked("u", Some("k")), asked("t", None)], NOW);
    assert_eq!(claims.unwrap(), [Claim::KeyBlocked, Claim::Fresh, Claim::Fresh]);
    assert_eq!(processed::claim(&conn, 2, &[asked("t", Some("k"))], NOW).unwrap(), [Claim::Fresh]);
}

#[test]
fn a_dead_head_holds_its_key_until_a_person_acts() {
    let conn = database();
    let [a, b] = [1, 2].map(|n| placed(&format!("m{n}"), "k", n));
    park(&conn, &a, &Failure::permanent(FailureKind::Permanent, "no"));
    behind(&conn, &b);
    assert_eq!(states(&conn), ["m1 dead", "m2 blocked"]);
    assert_eq!(run_next(&conn), None);
    let retried = act(&conn, Action::Retry, &[1, 2]);
    assert_eq!(retried, [ActionResult::Done, ActionResult::WrongState(FailedMessageState::Blocked)]);
    let leased = retries::lease(&conn, 1, 5, LEASE, NOW).unwrap();
    assert_eq!(
        leased.iter().map(|leased| (leased.failed_message, leased.parked)).collect::<Vec<_>>(),
        [(1, true)]
    );
    let discarded = act(&conn, Action::Discard, &[1]);
    assert_eq!(discarded, [ActionResult::Done]);
    assert!(!retries::resolve(&conn, 1, &leased[0], &[], NOW).unwrap(), "the run in flight is fenced out");
    assert_eq!(states(&conn), ["m1 discarded", "m2 retry_scheduled"]);
    assert_eq!(run_next(&conn).as_deref(), Some("m2"));
}

#[test]
fn what_is_brought_back_waits_for_what_is_open_before_it() {
    let conn = database();
    let [a, b, c] = [1, 2, 3].map(|n| placed(&format!("m{n}"), "k", n));
    park(&conn, &a, &retry_after(Duration::ZERO));
    behind(&conn, &b);
    behind(&conn, &c);
    act(&conn, Action::Discard, &[2, 1]);
    assert_eq!(states(&conn), ["m1 discarded", "m2 discarded", "m3 retry_scheduled"]);
    act(&conn, Action::Undo, &[2]);
    assert_eq!(states(&conn), ["m1 discarded", "m2 retry_scheduled", "m3 retry_scheduled"]);
    act(&conn, Action::Undo, &[1]);
    assert_eq!(
        states(&conn),
        ["m1 dead", "m2 retry_scheduled", "m3 retry_scheduled"],
        "it had run, so a person decides"
    );
    assert!(
        !retries::any_due(&conn, "billing", NOW).unwrap(),
        "due ones behind a dead head are not looked at again"
    );
    assert_eq!(run_next(&conn), None);
    act(&conn, Action::Discard, &[2, 3]);
    act(&conn, Action::Undo, &[3]);
    assert_eq!(states(&conn), ["m1 dead", "m2 discarded", "m3 blocked"]);
    act(&conn, Action::Discard, &[1]);
    assert_eq!(run_next(&conn).as_deref(), Some("m3"));
}

#[test]
fn an_earlier_message_of_the_key_goes_before_those_that_wait() {
    let conn = database();
    park(&conn, &placed("m5", "k", 5), &retry_after(Duration::ZERO));
    park(&conn, &placed("m3", "k", 3), &retry_after(LEASE));
    park(&conn, &placed("m4", "k", 4), &retry_after(Duration::ZERO));
    assert_eq!(states(&conn), ["m3 retry_scheduled", "m4 blocked", "m5 retry_scheduled"]);
    assert_eq!(run_next(&conn), None, "the head is not due yet");
    let later = retries::lease(&conn, 1, 5, LEASE, NOW + 10 * SECOND).unwrap();
    assert_eq!(later.len(), 1);
    assert!(retries::resolve(&conn, 1, &later[0], &[], NOW).unwrap());
    assert_eq!(run_next(&conn).as_deref(), Some("m4"));
    assert_eq!(run_next(&conn).as_deref(), Some("m5"));
}

#[test]
fn a_key_that_resolved_before_its_messages_parked_runs_at_once() {
    let conn = database();
    park(&conn, &placed("m1", "k", 1), &retry_after(Duration::ZERO));
    let [b, c] = [2, 3].map(|n| placed(&format!("m{n}"), "k", n));
    assert_eq!(processed::claim(&conn, 1, &[keyed(&b), keyed(&c)], NOW).unwrap(), [Claim::KeyBlocked; 2]);
    assert_eq!(run_next(&conn).as_deref(), Some("m1"));
    assert_eq!(parking::park_behind(&conn, 1, &[b, c], LIMITS, NOW).unwrap(), 2);
    assert_eq!(states(&conn), ["m1 resolved", "m2 retry_scheduled", "m3 blocked"]);
}

#[test]
fn where_there_is_no_room_nothing_is_written() {
    let conn = database();
    names::consumer(&conn, "billing").unwrap();
    let room = |per_key, in_all| ParkingLimits { per_key, in_all };
    let failure = retry_after(Duration::ZERO);
    let try_park =
        |received: &ReceivedMessage, room| parking::park(&conn, 1, received, &failure, room, NOW).unwrap();
    assert_eq!(try_park(&placed("m1", "k", 1), room(0, 9)), SetAsideOutcome::Full);
    assert_eq!(try_park(&placed("m1", "k", 1), room(9, 0)), SetAsideOutcome::Full);
    assert_eq!(claim(&conn, &placed("m1", "k", 1)), Claim::Fresh, "no marker was left");
    processed::unclaim(&conn, 1, &request("m1", 0), None).unwrap();
    assert_eq!(try_park(&placed("m1", "k", 1), room(1, 9)), SetAsideOutcome::SetAside);
    assert_eq!(try_park(&placed("m1", "k", 1), room(1, 9)), SetAsideOutcome::AlreadySettled, "full or not");
    assert_eq!(try_park(&placed("m2", "k", 2), room(1, 9)), SetAsideOutcome::Full);

    let later: Vec<ReceivedMessage> =
        (2..6).map(|n| placed(&format!("m{n}"), if n < 5 { "k" } else { "j" }, n)).collect();
    let fits = |room| {
        let tx = conn.unchecked_transaction().unwrap();
        let fits = parking::park_behind(&tx, 1, &later, room, NOW).unwrap();
        tx.rollback().unwrap();
        fits
    };
    assert_eq!(fits(room(1, 9)), 0);
    assert_eq!(fits(room(3, 9)), 2);
    assert_eq!(fits(room(9, 4)), 3);
    assert_eq!(fits(room(4, 5)), 4);
}

#[test]
fn a_claim_behind_is_taken_back_and_a_kept_one_stays() {
    let conn = database();
    park(&conn, &placed("m1", "k", 1), &retry_after(Duration::ZERO));
    let later = placed("m2", "k", 2);
    assert_eq!(claim(&conn, &later), Claim::KeyBlocked);
    processed::unclaim(&conn, 1, &keyed(&later), None).unwrap();
    behind(&conn, &later);
    processed::unclaim(&conn, 1, &keyed(&later), None).unwrap();
    assert_eq!(claim(&conn, &later), Claim::Held);
}

#[test]
fn message_done_in_earlier_generation_waits_behind_blocked_key() {
    let conn = database();
    let [a, b] = [1, 2].map(|n| placed(&format!("m{n}"), "k", n));
    assert_eq!(claim(&conn, &b), Claim::Fresh);
    park(&conn, &a, &retry_after(Duration::ZERO));
    assert_eq!(claim(&conn, &b), Claim::Done);
    let again = ClaimRequest { generation: 1, ..keyed(&b) };
    assert_eq!(processed::claim(&conn, 1, std::slice::from_ref(&again), NOW).unwrap(), [Claim::KeyBlocked]);
    parking::park_behind(&conn, 1, &[b], LIMITS, NOW).unwrap();
    assert_eq!(run_next(&conn).as_deref(), Some("m1"));
    assert_eq!(run_next(&conn).as_deref(), Some("m2"));
    assert_eq!(processed::claim(&conn, 1, &[again], NOW).unwrap(), [Claim::Done]);
}

#[test]
fn message_without_key_or_position_blocks_no_key() {
    let conn = database();
    let no_place = ReceivedMessage { position: None, ..placed("a", "k", 1) };
    let no_key = ReceivedMessage { message: Message::new("t", ""), ..placed("a", "k", 1) };
    for received in [no_place, no_key] {
        let error = parking::park(&conn, 1, &received, &retry_after(LEASE), LIMITS, NOW).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
    }
    assert!(!blocked_keys::any(&conn, 1).unwrap());
}

#[test]
fn keys_differ_by_every_byte_and_may_be_empty_or_long() {
    let conn = database();
    let long = "x".repeat(9_000);
    for (n, key) in ["", "k", "k\0", long.as_str()].into_iter().enumerate() {
        let received = placed(&format!("m{n}"), key, n as i64);
        assert_eq!(claim(&conn, &received), Claim::Fresh, "{n}");
        processed::unclaim(&conn, 1, &keyed(&received), None).unwrap();
        park(&conn, &received, &retry_after(LEASE));
        assert_eq!(claim(&conn, &placed(&format!("n{n}"), key, 10 + n as i64)), Claim::KeyBlocked, "{n}");
    }
}

/// 20,000 open failed messages of 2,000 keys that dead heads block, and as many closed ones.
fn crowded() -> Connection {
    let conn = database();
    names::consumer(&conn, "billing").unwrap();
    conn.execute_batch(
        "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 39999)
         INSERT INTO messagekit_failed_messages
           (consumer_id, message_id, topic, partition, offset, parked, state, reason, attempts, kind, error, fingerprint,
            set_aside_at, changed_at, key, headers, payload)
         SELECT 1, 'm' || n, 't', 0, n, 1,
           CASE WHEN n % 2 THEN 'resolved' WHEN n < 4000 THEN 'dead' ELSE 'blocked' END,
           'set_aside', 0, 'failed', 'no', 'f', 0, 0, CAST('k' || (n / 2 % 2000) AS BLOB), '[]', x'00' FROM n",
    )
    .unwrap();
    conn
}

#[test]
fn queries_of_blocked_keys_read_few_index_rows_at_any_size() {
    for analyzed in [false, true] {
        let conn = crowded();
        if analyzed {
            conn.execute_batch("ANALYZE").unwrap();
        }
        for sql in [
            blocked_keys::count_sql(),
            blocked_keys::count_of_sql(),
            blocked_keys::is_before_sql(),
            blocked_keys::promote_sql(),
            retries::due_sql(),
            actions::reopen_sql(),
            blocked_keys::behind_sql().to_owned(),
        ] {
            let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let parameters = vec![1_i64; explain.parameter_count()];
            let plan: Vec<String> = explain
                .query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let plan = plan.join("; ");
            // Only the run of a key reads its failed messages.
            let looks = if sql == blocked_keys::behind_sql() { "USING INDEX" } else { "COVERING INDEX" };
            let wanted = format!("{looks} messagekit_failed_messages_key (consumer_id=?");
            assert!(plan.contains(&wanted), "{plan}\n{sql}");
            assert!(!plan.contains("SCAN messagekit"), "{plan}\n{sql}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}\n{sql}");
        }
    }
}

#[test]
fn claim_skips_key_lookups_when_consumer_has_no_blocked_keys() {
    let conn = database();
    park(&conn, &ReceivedMessage { ..placed("m", "k", 1) }, &retry_after(LEASE));
    let requests: Vec<ClaimRequest> =
        (0..200).map(|n| keyed(&placed(&format!("m{n}"), &format!("k{n}"), n))).collect();
    let looks = |consumer| {
        let look = || conn.prepare_cached(&blocked_keys::count_of_sql()).unwrap();
        look().reset_status(StatementStatus::Run);
        processed::claim(&conn, consumer, &requests, NOW).unwrap();
        look().reset_status(StatementStatus::Run)
    };
    assert_eq!(looks(2), 0, "a consumer that holds no key asks for none");
    assert_eq!(looks(1), 200);
}
