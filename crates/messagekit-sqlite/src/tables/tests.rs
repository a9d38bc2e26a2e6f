//! The statements over a bare connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messagekit::{
    Act, Acted, Actor, Claim, ClaimRequest, ErrorKind, Failure, FailureKind, Headers, LetterFilter,
    LetterState, Message, MessageId, Next, NextOffset, Place, Received, SetAsideOutcome, headers,
};
use proptest::prelude::*;
use rusqlite::Connection;

use super::letters::{self, Way};
use super::{acts, append, cursors, desk, names, offsets, processed, read, retries, topics};

const PARTITIONS: u32 = 4;
const NOW: i64 = 1_790_000_000_123_456;
const SECOND: i64 = 1_000_000;

fn database() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    for migration in crate::migrations::MIGRATIONS {
        conn.execute_batch(migration.sql).unwrap();
    }
    conn
}

fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

fn request(text: &str, generation: i32) -> ClaimRequest {
    ClaimRequest { id: id(text), topic: Arc::from("t"), key: None, generation }
}

fn received(text: &str) -> Received {
    Received { id: id(text), message: Message::new("t", "payload").with_key("k"), place: None }
}

fn retry_after(delay: Duration) -> Failure {
    Failure { next: Next::Retry(delay), ..Failure::permanent(FailureKind::Failed, "no 17") }
}

fn read_all(conn: &Connection, topic: &str) -> Vec<(i32, read::Stored)> {
    let topic: Arc<str> = Arc::from(topic);
    let partitions = topics::partitions(conn, &topic).unwrap();
    let read = |p: &topics::Partition| read::read(conn, &topic, p.tp, 0, usize::MAX, usize::MAX).unwrap();
    partitions.iter().flat_map(|p| read(p).into_iter().map(|stored| (p.partition, stored))).collect()
}

fn any_bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

prop_compose! {
    fn any_message()(
        key in prop::option::of(any_bytes(20)),
        payload in any_bytes(200),
        pairs in prop::collection::vec((
            prop_oneof![
                Just(headers::ID.to_owned()), Just(headers::EVENT_TYPE.to_owned()),
                Just(headers::CONTENT_TYPE.to_owned()), Just(headers::TRACEPARENT.to_owned()),
                Just(headers::CREATED_AT.to_owned()), Just(headers::FREE_HEADERS.to_owned()), ".{0,8}",
            ],
            prop_oneof![".{0,12}".prop_map(Bytes::from), any_bytes(12)],
        ), 0..8),
    ) -> Message {
        let mut message = Message::new("any.topic", payload);
        message.key = key;
        pairs.into_iter().for_each(|(name, value)| message.headers.set(&name, value));
        message
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_message_comes_back_as_it_was_from_its_record(message in any_message()) {
        let conn = database();
        append::append(&conn, std::slice::from_ref(&message), PARTITIONS, NOW).unwrap();
        let (_, mut stored) = read_all(&conn, "any.topic").pop().unwrap();
        if message.headers.get(headers::CREATED_AT).is_none() {
            let added = stored.message.headers.remove(headers::CREATED_AT);
            prop_assert_eq!(added.as_deref(), Some(&b"2026-09-21T14:13:20.123456Z"[..]));
        }
        prop_assert_eq!(stored.message, message);
    }

    #[test]
    fn any_message_comes_back_as_it_was_from_its_letter(
        message in any_message(), place in prop::option::of((".{1,8}", any::<i32>(), any::<i64>()))
    ) {
        let conn = database();
        let place = place.map(|(topic, partition, offset)| Place { topic: topic.into(), partition, offset });
        let received = Received { id: id("m-1"), message, place };
        let failure = retry_after(Duration::ZERO);
        let consumer = names::consumer(&conn, "billing").unwrap();
        letters::set_aside(&conn, consumer, &Way::default(), &received, &failure, NOW).unwrap();
        let leased = retries::lease(&conn, consumer, 1, Duration::from_secs(1), NOW).unwrap();
        prop_assert_eq!(&leased[0].received, &received);
        prop_assert_eq!(&desk::show(&conn, leased[0].letter).unwrap().received, &received);
    }
}

#[test]
fn an_id_is_found_wherever_its_header_stood() {
    let conn = database();
    let first = Message::new("t", "").with_header("tenant", "north").with_header(headers::ID, "m-1");
    append::append(&conn, &[first], PARTITIONS, NOW).unwrap();
    let count = "SELECT count(*) FROM messagekit_topic_records WHERE event_id = 'm-1'";
    assert_eq!(conn.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[test]
fn offsets_have_no_gaps_and_keys_keep_order_and_partition() {
    let conn = database();
    for batch in 0..20 {
        let messages: Vec<_> = (0..10)
            .map(|n| Message::new("t", format!("{batch}-{n}")).with_key(format!("k{}", n % 5)))
            .collect();
        append::append(&conn, &messages, PARTITIONS, NOW).unwrap();
    }
    let all = read_all(&conn, "t");
    assert_eq!(all.len(), 200);
    for partition in topics::partitions(&conn, "t").unwrap() {
        let of = all.iter().filter(|(p, _)| *p == partition.partition).map(|(_, stored)| stored.offset);
        assert!(of.eq(0..partition.next_offset));
    }
    for key in 0..5 {
        let of_key = |(_, stored): &&(i32, read::Stored)| {
            stored.message.key.as_deref() == Some(format!("k{key}").as_bytes())
        };
        let mine: Vec<_> = all.iter().filter(of_key).collect();
        assert!(mine.iter().all(|(partition, _)| *partition == mine[0].0));
        let wanted = (0..20).flat_map(|batch| [key, key + 5].map(|n| format!("{batch}-{n}")));
        assert!(mine.iter().map(|(_, stored)| stored.message.payload.clone()).eq(wanted));
    }
}

#[test]
fn messages_without_a_key_take_turns_by_batch() {
    let conn = database();
    for _ in 0..8 {
        let batch = [Message::new("t", "a"), Message::new("t", "b")];
        append::append(&conn, &batch, PARTITIONS, NOW).unwrap();
    }
    assert!(topics::partitions(&conn, "t").unwrap().iter().all(|partition| partition.next_offset == 4));
}

#[test]
fn a_page_ends_at_its_bytes_but_is_never_empty() {
    let conn = database();
    let messages: Vec<_> = (0..10).map(|_| Message::new("t", vec![0; 1_000])).collect();
    append::append(&conn, &messages, PARTITIONS, NOW).unwrap();
    let topic = Arc::from("t");
    let tp = topics::partitions(&conn, "t").unwrap()[0].tp;
    assert_eq!(read::read(&conn, &topic, tp, 0, 100, 2_500).unwrap().len(), 3);
    assert_eq!(read::read(&conn, &topic, tp, 8, 100, 1).unwrap().len(), 1);
    assert_eq!(read::read(&conn, &topic, tp, 10, 100, 1).unwrap().len(), 0);
}

#[test]
fn what_cannot_be_kept_is_refused_before_anything_is_written() {
    let conn = database();
    let good = Message::new("t", "x");
    let refused = |message: Message| {
        append::append(&conn, &[good.clone(), message], PARTITIONS, NOW).unwrap_err().kind()
    };
    assert_eq!(refused(Message::new("a topic", "x")), ErrorKind::InvalidEvent);
    assert_eq!(refused(Message::new("t", vec![0; 900_001])), ErrorKind::TooLarge);
    assert_eq!(names::known_topic(&conn, "t").unwrap(), None);
}

#[test]
fn the_second_copy_of_an_id_is_not_fresh() {
    let conn = database();
    let claims = processed::claim(&conn, 1, &["a", "b", "a"].map(|id| request(id, 0)), NOW).unwrap();
    assert_eq!(claims, [Claim::Fresh, Claim::Fresh, Claim::Done]);
    let of_another = processed::claim(&conn, 2, &[request("a", 0)], NOW).unwrap();
    assert_eq!(of_another, [Claim::Fresh]);
}

#[test]
fn a_claim_taken_back_is_fresh_again_and_a_held_one_stays() {
    let conn = database();
    processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap();
    assert!(processed::hold(&conn, 1, &id("b"), NOW).unwrap());
    processed::unclaim(&conn, 1, &["a", "b"].map(|id| request(id, 0))).unwrap();
    let claims = processed::claim(&conn, 1, &["a", "b"].map(|id| request(id, 0)), NOW).unwrap();
    assert_eq!(claims, [Claim::Fresh, Claim::Held]);
}

#[test]
fn a_greater_generation_claims_what_was_done_and_nothing_else() {
    let conn = database();
    processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap();
    processed::hold(&conn, 1, &id("b"), NOW).unwrap();
    let again = processed::claim(&conn, 1, &["a", "b", "a"].map(|id| request(id, 1)), NOW).unwrap();
    assert_eq!(again, [Claim::Fresh, Claim::Held, Claim::Done]);
    assert_eq!(processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap(), [Claim::Done]);
}

#[test]
fn noted_positions_only_grow() {
    let conn = database();
    let consumer = names::consumer(&conn, "billing").unwrap();
    let position = |strand, next| NextOffset { topic: Arc::from("elsewhere"), partition: 3, strand, next };
    offsets::advance(&conn, consumer, &[position(0, 7), position(1, 4)]).unwrap();
    offsets::advance(&conn, consumer, &[position(0, 5), position(1, 6)]).unwrap();
    assert_eq!(offsets::next_of(&conn, "billing", "elsewhere").unwrap(), [position(0, 7), position(1, 6)]);
    assert!(offsets::next_of(&conn, "billing", "unknown").unwrap().is_empty());
    assert!(topics::partitions(&conn, "elsewhere").unwrap().is_empty(), "a name alone makes no topic");
}

#[test]
fn a_topic_known_by_name_is_made_by_its_first_append() {
    let conn = database();
    names::topic(&conn, "t").unwrap();
    append::append(&conn, &[Message::new("t", "x")], PARTITIONS, NOW).unwrap();
    assert_eq!(topics::partitions(&conn, "t").unwrap().len(), 4);
}

#[test]
fn a_cursor_moves_only_from_where_its_owner_knows_it() {
    let conn = database();
    append::append(&conn, &[Message::new("t", "x")], PARTITIONS, NOW).unwrap();
    let partition = topics::partitions(&conn, "t").unwrap()[0];
    assert_eq!(cursors::ensure(&conn, 1, &partition).unwrap(), cursors::Found { next: 0, gone: 0 });
    assert!(cursors::advance(&conn, 1, partition.tp, 0, 5).unwrap());
    assert!(!cursors::advance(&conn, 1, partition.tp, 0, 6).unwrap());
    assert!(cursors::advance(&conn, 1, partition.tp, 5, 3).unwrap(), "a smaller one is no fence");
    let found = cursors::ensure(&conn, 1, &partition).unwrap();
    assert_eq!(found, cursors::Found { next: 5, gone: 0 });
    let trimmed = topics::Partition { log_start: 8, ..partition };
    assert_eq!(cursors::ensure(&conn, 1, &trimmed).unwrap(), cursors::Found { next: 8, gone: 3 });
}

/// A letter that is due, and its consumer.
fn due_letter(conn: &Connection, text: &str) -> i64 {
    let consumer = names::consumer(conn, "billing").unwrap();
    let outcome = letters::set_aside(
        conn,
        consumer,
        &Way::default(),
        &received(text),
        &retry_after(Duration::ZERO),
        NOW,
    )
    .unwrap();
    assert_eq!(outcome, SetAsideOutcome::SetAside);
    consumer
}

const LEASE: Duration = Duration::from_secs(10);

#[test]
fn a_message_that_is_settled_is_not_set_aside() {
    let conn = database();
    let consumer = due_letter(&conn, "a");
    let again =
        letters::set_aside(&conn, consumer, &Way::default(), &received("a"), &retry_after(LEASE), NOW)
            .unwrap();
    assert_eq!(again, SetAsideOutcome::AlreadySettled);
    processed::claim(&conn, consumer, &[request("b", 0)], NOW).unwrap();
    let done = letters::set_aside(&conn, consumer, &Way::default(), &received("b"), &retry_after(LEASE), NOW)
        .unwrap();
    assert_eq!(done, SetAsideOutcome::AlreadySettled);
    assert_eq!(desk::list(&conn, &LetterFilter::default(), 10).unwrap().len(), 1);
}

#[test]
fn an_open_letter_without_marker_is_corrupt_and_a_resolved_one_opens_again() {
    let conn = database();
    let consumer = due_letter(&conn, "a");
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let over_open =
        letters::set_aside(&conn, consumer, &Way::default(), &received("a"), &retry_after(LEASE), NOW)
            .unwrap_err();
    assert_eq!(over_open.kind(), ErrorKind::Corrupt);
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    assert!(retries::resolve(&conn, consumer, &leased, NOW).unwrap());
    conn.execute("DELETE FROM messagekit_processed_messages", []).unwrap();
    let again =
        letters::set_aside(&conn, consumer, &Way::default(), &received("a"), &retry_after(LEASE), NOW)
            .unwrap();
    assert_eq!(again, SetAsideOutcome::SetAside);
    assert_eq!(desk::show(&conn, leased.letter).unwrap().state, LetterState::Retrying);
}

#[test]
fn a_leased_letter_is_due_again_when_its_lease_ends_and_counts_a_kill() {
    let conn = database();
    let consumer = due_letter(&conn, "a");
    assert!(retries::any_due(&conn, "billing", NOW).unwrap());
    let first = retries::lease(&conn, consumer, 5, LEASE, NOW).unwrap().remove(0);
    assert_eq!((first.attempt, first.kills), (2, 0));
    assert!(!retries::any_due(&conn, "billing", NOW + 9 * SECOND).unwrap());
    assert!(retries::lease(&conn, consumer, 5, LEASE, NOW + 9 * SECOND).unwrap().is_empty());
    let second = retries::lease(&conn, consumer, 5, LEASE, NOW + 10 * SECOND).unwrap().remove(0);
    assert_eq!((second.attempt, second.kills), (3, 1));
    for outdated in [
        retries::resolve(&conn, consumer, &first, NOW).unwrap(),
        retries::fail(&conn, consumer, &first, &retry_after(LEASE), NOW).unwrap(),
        retries::hand_back(&conn, consumer, &first, LEASE, NOW).unwrap(),
    ] {
        assert!(!outdated);
    }
    assert!(retries::resolve(&conn, consumer, &second, NOW).unwrap());
    assert_eq!(processed::claim(&conn, consumer, &[request("a", 0)], NOW).unwrap(), [Claim::Done]);
}

#[test]
fn leases_go_to_the_letter_that_is_due_longest() {
    let conn = database();
    let consumer = names::consumer(&conn, "billing").unwrap();
    for (text, seconds) in [("late", 3), ("early", 1), ("middle", 2), ("not yet", 60)] {
        let failure = retry_after(Duration::from_secs(seconds));
        letters::set_aside(&conn, consumer, &Way::default(), &received(text), &failure, NOW).unwrap();
    }
    let leased = retries::lease(&conn, consumer, 2, LEASE, NOW + 5 * SECOND).unwrap();
    let order: Vec<_> = leased.iter().map(|leased| leased.received.id.as_str()).collect();
    assert_eq!(order, ["early", "middle"]);
    assert!(retries::lease(&conn, 99, 9, LEASE, NOW + 99 * SECOND).unwrap().is_empty(), "another consumer");
}

#[test]
fn a_failed_run_waits_or_dies_as_the_failure_says() {
    let conn = database();
    let consumer = due_letter(&conn, "a");
    let lease = |now| retries::lease(&conn, consumer, 1, LEASE, now).unwrap().remove(0);
    let leased = lease(NOW);
    assert!(retries::fail(&conn, consumer, &leased, &retry_after(Duration::from_secs(2)), NOW).unwrap());
    let letter = desk::show(&conn, leased.letter).unwrap();
    assert_eq!(letter.state, LetterState::Retrying);
    assert_eq!(letter.due.unwrap().as_microsecond(), NOW + 2 * SECOND);
    let leased = lease(NOW + 2 * SECOND);
    assert_eq!(leased.kills, 0, "a run that came back is no kill");
    let dead = Failure::permanent(FailureKind::Panicked, "boom");
    assert!(retries::fail(&conn, consumer, &leased, &dead, NOW + 3 * SECOND).unwrap());
    let letter = desk::show(&conn, leased.letter).unwrap();
    assert_eq!((letter.state, letter.due, letter.kind.as_str()), (LetterState::Dead, None, "panicked"));
    assert_eq!(letter.changed_at.as_microsecond(), NOW + 3 * SECOND);
    assert_eq!(letter.fingerprint, dead.fingerprint());
}

#[test]
fn a_lease_handed_back_costs_no_attempt() {
    let conn = database();
    let consumer = due_letter(&conn, "a");
    let leased = retries::lease(&conn, consumer, 1, LEASE, NOW).unwrap().remove(0);
    assert!(retries::hand_back(&conn, consumer, &leased, Duration::from_secs(1), NOW).unwrap());
    assert!(!retries::any_due(&conn, "billing", NOW).unwrap());
    assert!(!retries::hand_back(&conn, consumer, &leased, LEASE, NOW).unwrap(), "an answered lease is over");
    assert!(!retries::resolve(&conn, consumer, &leased, NOW).unwrap());
    let again = retries::lease(&conn, consumer, 1, LEASE, NOW + SECOND).unwrap().remove(0);
    assert_eq!((again.attempt, again.kills), (leased.attempt, 0));
}

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
    assert_eq!(retries::resolve(&conn, consumer, &leased, NOW).unwrap_err().kind(), ErrorKind::Corrupt);
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
    for (select, index) in [
        (
            "SELECT id FROM messagekit_dead_letters
             WHERE consumer_id = 1 AND origin = 'store' AND state IN ('retrying', 'replaying') AND due <= 1
             ORDER BY due, id LIMIT 1",
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
    let refused = acts::act(&conn, Act::Discard, &[1], &Actor::new("ada", "test"), NOW).unwrap_err();
    assert_eq!((refused.kind(), refused.context("letter")), (ErrorKind::Corrupt, Some("1")));
}
