//! The state at a glance.

use super::super::status;
use super::*;

#[test]
fn names_that_only_read_leave_out_no_other_consumer() {
    let conn = database();
    for number in 0..600 {
        names::consumer(&conn, &format!("a-{number}")).unwrap();
    }
    due_failed_message(&conn, "a");
    let known = status::consumers(&conn, NOW).unwrap();
    assert_eq!((known.len(), &*known[499].consumer), (500, "billing"), "of the others by name");
    assert!(known.is_sorted_by_key(|status| &status.consumer));
}

#[test]
fn partitions_that_a_consumer_has_not_read_yet_are_behind() {
    let conn = database();
    let consumer = names::consumer(&conn, "mail").unwrap();
    let settled = r#"[{"from": 2, "to": 3, "attempts": 1, "state": {"waiting": {"due": 0, "is_alone": false}}},
        {"from": 3, "to": 7, "attempts": 1, "state": "settled"}]"#;
    conn.execute_batch(
        "INSERT INTO messagekit_topics (id, name, partitions) VALUES (1, 'shop.parcel', 3);
         INSERT INTO messagekit_topic_partitions (id, topic_id, partition, next_offset, log_start)
           VALUES (1, 1, 0, 9, 0), (2, 1, 1, 9, 4), (3, 1, 2, 9, 8);",
    )
    .unwrap();
    for tp in [1, 2] {
        let cursor = "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next) VALUES (?1, ?2, 2)";
        conn.execute(cursor, (consumer, tp)).unwrap();
        let claims =
            "INSERT INTO messagekit_record_claims (consumer_id, tp_id, next, ranges) VALUES (?1, ?2, 2, ?3)";
        conn.execute(claims, (consumer, tp, settled)).unwrap();
    }
    let known = status::consumers(&conn, NOW).unwrap().remove(0);
    let positions: Vec<_> = known.positions.iter().map(|one| (one.partition, one.next, one.behind)).collect();
    assert_eq!(positions, [(0, 2, Some(3)), (1, 4, Some(2)), (2, 8, Some(1))]);
}
