//! Records of topics, and the positions in them.

use super::*;

#[test]
fn an_id_is_found_wherever_its_header_stood() {
    let conn = database();
    let first = Message::new("t", "").with_header("tenant", "north").with_header(headers::ID, "m-1");
    append::append(&conn, &[first], PARTITIONS, NOW).unwrap();
    let count = "SELECT count(*) FROM messagekit_topic_records WHERE event_id = 'm-1'";
    assert_eq!(conn.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
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
    assert_eq!(cursors::ensure(&conn, 1, &partition, None).unwrap(), cursors::Found { next: 0, gone: 0 });
    assert!(cursors::advance(&conn, 1, partition.tp, 0, 5).unwrap());
    assert!(!cursors::advance(&conn, 1, partition.tp, 0, 6).unwrap());
    assert!(cursors::advance(&conn, 1, partition.tp, 5, 3).unwrap(), "a smaller one is no fence");
    let found = cursors::ensure(&conn, 1, &partition, None).unwrap();
    assert_eq!(found, cursors::Found { next: 5, gone: 0 });
    let trimmed = topics::Partition { log_start: 8, ..partition };
    assert_eq!(cursors::ensure(&conn, 1, &trimmed, None).unwrap(), cursors::Found { next: 8, gone: 3 });
}
