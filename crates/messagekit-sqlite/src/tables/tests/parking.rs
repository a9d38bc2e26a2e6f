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

fn park(conn: &Connection, received: &ReceivedMessage, failure: &Failure) -> SetAsideOutcome {
    names::consumer(conn, "billing").unwrap();
    parking::park(conn, 1, received, failure, LIMITS, NOW).unwrap()
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
