//! What statements do with groups: where they begin, go on, and what their acknowledgements finish.

use messagekit::ErrorKind;
use messagekit_topics::operations::TopicOperations;
use messagekit_topics::operations::wire::{Consume, ConsumeAnswer, GiveBack, Start};
use serde_json::json;

use super::session::Session;

#[tokio::test]
async fn a_group_goes_on_after_the_database_was_opened_again() {
    let mut session = Session::with(6).await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST LIMIT 3").await, [0, 1, 2]);
    session.rows("ACK shop.orders GROUP 'g' UPTO OFFSET 1").await;
    session.reopen().await;
    // Its claim of the record 2 is kept, too.
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST").await, [3, 4, 5]);
    assert_eq!(session.rows("ACK shop.orders GROUP 'g' UPTO OFFSET 2").await[0][3], 2);
    assert_eq!(session.rows("ACK shop.orders GROUP 'g' UPTO OFFSET 5").await[0][3], 5);
    session.reopen().await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST").await, [0; 0]);
}

#[tokio::test]
async fn a_group_from_the_end_has_what_comes_later() {
    let mut session = Session::with(4).await;
    for statement in ["CONSUME FROM shop.orders GROUP 'g'", "CONSUME FROM shop.orders GROUP 'h' FROM LATEST"]
    {
        assert_eq!(session.offsets(statement).await, [0; 0]);
    }
    session.reopen().await;
    session.append(4, 6).await;
    for group in ["g", "h"] {
        let statement = format!("CONSUME FROM shop.orders GROUP '{group}' FROM EARLIEST");
        assert_eq!(session.offsets(&statement).await, [4, 5], "its start is that of its first call");
    }
}

#[tokio::test]
async fn a_group_from_an_offset_goes_on_behind_it() {
    let mut session = Session::with(6).await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM 2 LIMIT 2").await, [2, 3]);
    session.rows("ACK shop.orders GROUP 'g' UPTO OFFSET 3").await;
    session.reopen().await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM 0").await, [4, 5]);
    let beyond = session.refused("CONSUME FROM shop.orders GROUP 'new' FROM 7", ErrorKind::OutOfRange).await;
    assert!(beyond.contains("earliest 0") && beyond.contains("end 6"), "{beyond}");
}

#[tokio::test]
async fn consume_names_the_records_that_the_group_has_lost() {
    let session = Session::with(4).await;
    session.rows("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST LIMIT 1").await;
    session.rows("ACK shop.orders GROUP 'g' UPTO OFFSET 0").await;
    session.said("CLEAR TOPIC shop.orders").await;
    session.append(4, 6).await;
    let answer = session.run("CONSUME FROM shop.orders GROUP 'g'").await.unwrap();
    let offsets: Vec<_> = answer.rows.iter().map(|row| row[2].as_i64().unwrap()).collect();
    let lost = "records were deleted before the group settled them: offsets 1 to 3 of partition 0";
    assert_eq!((&offsets[..], answer.message.as_deref()), (&[4, 5][..], Some(lost)));
    let again = session.run("CONSUME FROM shop.orders GROUP 'g'").await.unwrap();
    assert_eq!((again.row_count, again.message), (0, None));
}

#[tokio::test]
async fn a_read_without_a_group_stores_nothing() {
    let session = Session::with(5).await;
    for _ in 0..2 {
        assert_eq!(session.offsets("CONSUME FROM shop.orders FROM 1 LIMIT 2").await, [1, 2]);
        assert_eq!(session.offsets("CONSUME FROM shop.orders FROM EARLIEST").await, [0, 1, 2, 3, 4]);
        assert_eq!(session.offsets("CONSUME FROM shop.orders").await, [0; 0]);
    }
    assert_eq!(session.rows("SELECT * FROM system.topic_offsets").await, json!([]));
}

#[tokio::test]
async fn an_acknowledgement_never_goes_back() {
    let session = Session::with(6).await;
    session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST").await;
    for (up_to, committed) in [(3, 3), (1, 3), (0, 3), (3, 3), (4, 4), (2, 4)] {
        let statement = format!("ACK shop.orders GROUP 'g' UPTO OFFSET {up_to}");
        assert_eq!(session.rows(&statement).await[0][3], committed);
    }
    assert_eq!(
        session.rows("SELECT last_acked_offset, lag FROM system.topic_offsets").await,
        json!([[4, 1]])
    );
    let reset = session.rows("RESET CONSUMER GROUP 'g' ON shop.orders TO 2").await;
    assert_eq!(reset[0][3], 2, "only a reset goes back");
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g'").await, [2, 3, 4, 5]);
}

/// A worker acknowledges what it has; what another one holds stays with that one, and comes again if it is given back.
#[tokio::test]
async fn an_acknowledgement_leaves_other_claims_alone() {
    let session = Session::with(20).await;
    let (group_id, start) = (Some("g".to_owned()), Some(Start::Earliest));
    let request = Consume { group_id, start, limit: Some(10), ..Consume::of("shop.orders") };
    let first = session.topics.consume(&request, None).await.unwrap();
    let second = session.topics.consume(&request, None).await.unwrap();
    assert_eq!(second.messages[0].offset, 10);
    let stored = session.rows("ACK shop.orders GROUP 'g' UPTO OFFSET 15").await[0][3].clone();
    assert_eq!(stored, json!(null), "the first ten are held");
    let all = |consumed: &ConsumeAnswer| {
        GiveBack::untried("shop.orders", "g", 0, consumed.claim_id.as_deref().unwrap())
    };
    session.topics.give_back(&all(&second)).await.unwrap();
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g'").await, [16, 17, 18, 19]);
    session.topics.give_back(&all(&first)).await.unwrap();
    let again = session.offsets("CONSUME FROM shop.orders GROUP 'g'").await;
    assert_eq!(again, (0..10).collect::<Vec<_>>(), "none of them was acknowledged");
}

#[tokio::test]
async fn a_statement_consumes_all_partitions() {
    let session = Session::new("PARTITIONS 4 WITH (key = 'n')").await;
    session.append(0, 40).await;
    for statement in
        ["CONSUME FROM shop.orders FROM EARLIEST", "CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST"]
    {
        let rows = session.rows(statement).await;
        assert_eq!(rows.as_array().unwrap().len(), 40, "{statement}");
    }
    assert_eq!(
        session.rows("CONSUME FROM shop.orders FROM EARLIEST LIMIT 7").await.as_array().unwrap().len(),
        7
    );
    let one = session.rows("CONSUME FROM shop.orders PARTITION 2 FROM EARLIEST").await;
    assert!(one.as_array().unwrap().iter().all(|row| row[1] == 2), "{one}");
    let text = session.refused("ACK shop.orders GROUP 'g' UPTO OFFSET 0", ErrorKind::WrongState).await;
    assert!(text.contains("PARTITION"), "{text}");
    assert_eq!(session.rows("ACK shop.orders GROUP 'g' PARTITION 2 UPTO OFFSET 0").await[0][3], 0);
    let moved = session.rows("RESET CONSUMER GROUP 'g' ON shop.orders TO EARLIEST").await;
    assert_eq!(moved.as_array().unwrap().len(), 4);
    session.refused("CONSUME FROM shop.orders PARTITION 4", ErrorKind::NotFound).await;
}

#[tokio::test]
async fn deleted_records_are_out_of_range_and_offsets_go_on() {
    let mut session = Session::with(3).await;
    session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST LIMIT 1").await;
    session.said("CLEAR TOPIC shop.orders").await;
    session.reopen().await;
    let text = session.refused("CONSUME FROM shop.orders FROM 0", ErrorKind::OutOfRange).await;
    assert!(text.contains("earliest 3") && text.contains("end 3"), "{text}");
    session.append(3, 4).await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders FROM EARLIEST").await, [3]);
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g'").await, [3]);
}

/// A group whose name was mistyped once would keep every record for ever.
#[tokio::test]
async fn a_group_that_is_dropped_keeps_no_record() {
    let session = Session::new("WITH (retention_consumed = true)").await;
    session.append(0, 3).await;
    let mistyped = session.offsets("CONSUME FROM shop.orders GROUP 'shiping' FROM EARLIEST LIMIT 1").await;
    session.offsets("CONSUME FROM shop.orders GROUP 'shipping' FROM EARLIEST").await;
    session.rows("ACK shop.orders GROUP 'shipping' UPTO OFFSET 2").await;
    session.append(3, 4).await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders FROM EARLIEST").await, [0, 1, 2, 3]);

    let drop = "DROP CONSUMER GROUP 'shiping' ON shop.orders";
    assert_eq!(session.rows(drop).await, json!([["shop.orders", "shiping", true]]));
    session.refused(drop, ErrorKind::NotFound).await;
    let if_exists = "DROP CONSUMER GROUP IF EXISTS 'shiping' ON shop.orders";
    assert_eq!(session.rows(if_exists).await, json!([["shop.orders", "shiping", false]]));
    session.refused("DROP CONSUMER GROUP 'shipping' ON shop.missing", ErrorKind::NotFound).await;
    let late = "ACK shop.orders GROUP 'shiping' UPTO OFFSET 0";
    session.refused(late, ErrorKind::ClaimLost).await;
    session.rows("DROP CONSUMER GROUP IF EXISTS 'shiping' ON shop.orders").await;
    session.append(4, 5).await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders FROM EARLIEST").await, [3, 4]);
    assert_eq!(mistyped, [0]);
    assert_eq!(session.rows("SELECT group_id FROM system.topic_offsets").await, json!([["shipping"]]));
}
