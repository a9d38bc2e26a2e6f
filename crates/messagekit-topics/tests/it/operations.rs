//! Topics by their names, as statements and HTTP use them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::log::{PartitionStart, Which};
use messagekit_topics::operations::{
    ClaimedOffsets, ConsumeRequest, Consumed, NewTopic, OnDuplicateRecord, RecordOperation, Settle,
    TopicOperations,
};
use messagekit_topics::{IfNew, Topics};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::home::{self, Db, Home};

const TOPIC: &str = "shop.orders";
const LONG: Duration = Duration::from_secs(60);

async fn shop(partitions: u32) -> Topics<Db> {
    let topics = home::topics().await;
    let mut new = NewTopic::named(TOPIC);
    new.partitions = NonZeroU32::new(partitions).unwrap();
    (new.key, new.dedup) = (Some("customer".into()), vec!["n".into()]);
    assert!(topics.create_topic(&new).await.unwrap());
    assert!(!topics.create_topic(&new).await.unwrap(), "it is there");
    topics
}

fn order(n: i64) -> Box<RawValue> {
    to_raw_value(&json!({ "n": n, "customer": format!("c{}", n % 5) })).unwrap()
}

async fn append(topics: &Topics<Db>, numbers: std::ops::Range<i64>) {
    let orders: Vec<_> = numbers.map(order).collect();
    topics.append(TOPIC, &orders, OnDuplicateRecord::Refuse).await.unwrap();
}

fn of(group: &str) -> ConsumeRequest {
    ConsumeRequest::of(TOPIC).group(group).start(PartitionStart::Earliest)
}

fn numbers(consumed: &Consumed) -> Vec<i64> {
    let number = |payload: &[u8]| serde_json::from_slice::<Value>(payload).unwrap()["n"].as_i64().unwrap();
    consumed.records.iter().map(|record| number(&record.payload)).collect()
}

fn settle(group: &str, consumed: &Consumed, offsets: ClaimedOffsets) -> Settle {
    let claim = consumed.claim.clone().unwrap();
    Settle { offsets, ..Settle::all(TOPIC, group, claim.partition, claim.id) }
}

#[tokio::test]
async fn a_group_claims_and_a_reader_stores_nothing() {
    let topics = shop(1).await;
    append(&topics, 0..5).await;
    let read =
        topics.consume(&ConsumeRequest::of(TOPIC).start(PartitionStart::Earliest).limit(3)).await.unwrap();
    assert_eq!((numbers(&read), read.has_more, &read.next[..]), (vec![0, 1, 2], true, &[(0, 3)][..]));
    assert_eq!(read.claim, None);
    let on = ConsumeRequest::of(TOPIC).start(PartitionStart::Offset(3));
    let rest = topics.consume(&on).await.unwrap();
    assert_eq!((numbers(&rest), rest.has_more), (vec![3, 4], false));
    let latest = topics.consume(&ConsumeRequest::of(TOPIC)).await.unwrap();
    assert_eq!((latest.records.len(), &latest.next[..]), (0, &[(0, 5)][..]));

    let first = topics.consume(&of("g").limit(2)).await.unwrap();
    assert_eq!((numbers(&first), first.has_more), (vec![0, 1], true));
    let record = &first.records[1];
    assert_eq!((record.partition, record.offset, record.attempt), (0, 1, 1));
    assert_eq!((record.key.as_deref(), record.operation), (Some("c1"), RecordOperation::Insert));
    assert!(record.event_id.is_some());
    assert_eq!(numbers(&topics.consume(&of("g")).await.unwrap()), [2, 3, 4], "no record twice");
    assert_eq!(numbers(&topics.consume(&of("other")).await.unwrap()).len(), 5, "groups are apart");
    assert_eq!(topics.acknowledge(&settle("g", &first, ClaimedOffsets::All)).await.unwrap(), 2);
}

#[tokio::test]
async fn one_claim_settles_nothing_of_another() {
    let topics = shop(1).await;
    append(&topics, 0..20).await;
    let first = topics.consume(&of("g").limit(10)).await.unwrap();
    let second = topics.consume(&of("g").limit(10)).await.unwrap();
    assert_eq!(topics.acknowledge_up_to(TOPIC, "g", 0, 19).await.unwrap(), 0, "the first claim stays");
    assert_eq!(topics.acknowledge_up_to(TOPIC, "g", 0, 4).await.unwrap(), 5);
    assert_eq!(topics.acknowledge_up_to(TOPIC, "g", 0, 2).await.unwrap(), 5, "it does not go back");
    let late = topics.acknowledge(&settle("g", &second, ClaimedOffsets::UpTo(19))).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ClaimLost, "it is settled already");
    let these = settle("g", &first, ClaimedOffsets::These(vec![7, 5]));
    assert_eq!(topics.acknowledge(&these).await.unwrap(), 6);
    let beyond = topics.acknowledge_up_to(TOPIC, "g", 0, 20).await.unwrap_err();
    assert_eq!((beyond.kind(), beyond.context("end")), (ErrorKind::OutOfRange, Some("20")));
    assert_eq!(topics.acknowledge(&settle("g", &first, ClaimedOffsets::All)).await.unwrap(), 20);
}

#[tokio::test]
async fn failed_records_come_again_and_end_as_failed_messages() {
    let topics = shop(1).await;
    append(&topics, 0..2).await;
    for attempt in 1..=10 {
        let consumed = topics.consume(&of("g").limit(1)).await.unwrap();
        assert_eq!((numbers(&consumed), consumed.records[0].attempt), (vec![0], attempt));
        topics
            .give_back(&settle("g", &consumed, ClaimedOffsets::All), Duration::ZERO, "no stock")
            .await
            .unwrap();
    }
    let next = topics.consume(&of("g")).await.unwrap();
    assert_eq!(numbers(&next), [1], "the first one is a failed message");
    let foreign = settle("g", &next, ClaimedOffsets::These(vec![0]));
    let refused = topics.give_back(&foreign, LONG, "no stock").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ClaimLost);
    let until =
        topics.extend(&Settle { lease: 2 * LONG, ..settle("g", &next, ClaimedOffsets::All) }).await.unwrap();
    assert!(until > next.claim.as_ref().unwrap().until);
    topics.give_back(&settle("g", &next, ClaimedOffsets::All), LONG, "later").await.unwrap();
    assert!(topics.consume(&of("g")).await.unwrap().records.is_empty(), "its delay is not over");
}

/// A worker that ends gives back what it has not begun: however often that happens, no attempt is used up.
#[tokio::test]
async fn released_records_come_again_at_once_and_uncounted() {
    let topics = shop(1).await;
    append(&topics, 0..3).await;
    for _ in 0..15 {
        let consumed = topics.consume(&of("g")).await.unwrap();
        assert_eq!(numbers(&consumed), [0, 1, 2]);
        assert!(consumed.records.iter().all(|record| record.attempt == 1), "{:?}", consumed.records);
        topics.release(&settle("g", &consumed, ClaimedOffsets::All)).await.unwrap();
    }
    let consumed = topics.consume(&of("g")).await.unwrap();
    let (first, all) = (ClaimedOffsets::These(vec![0]), ClaimedOffsets::All);
    topics.acknowledge(&settle("g", &consumed, first.clone())).await.unwrap();
    let refused = topics.release(&settle("g", &consumed, first)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ClaimLost);
    topics.release(&settle("g", &consumed, all)).await.unwrap();
    assert_eq!(numbers(&topics.consume(&of("g")).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_waiting_call_has_records_when_they_come() {
    let home = Home::new().await;
    let (topics, writer) = (home.topics().await, home.topics().await);
    assert!(topics.create_topic(&NewTopic::named(TOPIC)).await.unwrap());
    // A reader may wait for an offset that is not written yet.
    let requests = [of("g"), ConsumeRequest::of(TOPIC).start(PartitionStart::Offset(1))];
    for (request, n) in requests.into_iter().zip([7, 8]) {
        let waits = request.wait(LONG);
        let (consumed, ()) =
            tokio::join!(async { topics.consume(&waits).await.unwrap() }, append(&writer, n..n + 1));
        assert_eq!(numbers(&consumed), [n]);
    }
    let latest = ConsumeRequest::of(TOPIC).group("late");
    let over = topics.consume(&latest.wait(Duration::from_millis(20))).await.unwrap();
    assert!(over.records.is_empty());
}

#[tokio::test]
async fn a_group_that_begins_at_the_end_has_what_comes_later() {
    let topics = shop(2).await;
    append(&topics, 0..10).await;
    let latest = ConsumeRequest::of(TOPIC).group("g");
    assert!(topics.consume(&latest).await.unwrap().records.is_empty());
    append(&topics, 10..20).await;
    let mut found = Vec::new();
    loop {
        // The start is that of its first call.
        let consumed = topics.consume(&of("g")).await.unwrap();
        if consumed.records.is_empty() {
            break;
        }
        found.extend(numbers(&consumed));
    }
    found.sort_unstable();
    assert_eq!(found, (10..20).collect::<Vec<_>>());
    let moved: BTreeMap<i32, i64> =
        topics.reset(TOPIC, "g", None, PartitionStart::Earliest).await.unwrap().into_iter().collect();
    assert_eq!(moved, BTreeMap::from([(0, 0), (1, 0)]));
    let one = topics.consume(&of("g").partition(1)).await.unwrap();
    assert!(!one.records.is_empty() && one.records.iter().all(|record| record.partition == 1));
    let none = topics.consume(&of("g").partition(2)).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn duplicates_are_refused_or_skipped() {
    let topics = shop(1).await;
    append(&topics, 0..2).await;
    let refused = topics.append(TOPIC, &[order(5), order(1)], OnDuplicateRecord::Refuse).await.unwrap_err();
    assert_eq!((refused.kind(), refused.duplicate().unwrap().existing), (ErrorKind::Duplicate, 2));
    let skipped = topics.append(TOPIC, &[order(5), order(1)], OnDuplicateRecord::Skip).await.unwrap();
    assert!(matches!(skipped[..], [IfNew::Appended(_), IfNew::Duplicate(2)]), "{skipped:?}");
    let missing = topics.append("shop.nothing", &[order(1)], OnDuplicateRecord::Skip).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(topics.definitions().await.unwrap().len(), 1, "an append makes no topic");
}

#[tokio::test]
async fn a_cleared_topic_goes_on_at_its_offsets() {
    let topics = shop(1).await;
    append(&topics, 0..2_500).await;
    let held = topics.consume(&of("g").limit(2)).await.unwrap();
    assert_eq!(topics.clear_topic(TOPIC).await.unwrap(), 2_500);
    let bounds = topics.bounds(TOPIC).await.unwrap();
    assert_eq!((bounds[0].earliest, bounds[0].end), (2_500, 2_500));
    let read = topics.consume(&ConsumeRequest::of(TOPIC).start(PartitionStart::Offset(3))).await.unwrap_err();
    assert_eq!((read.kind(), read.context("earliest")), (ErrorKind::OutOfRange, Some("2500")));
    let consumed = topics.consume(&of("g")).await.unwrap();
    assert_eq!((consumed.records.len(), consumed.deleted), (0, vec![(0, 0..2_500)]));
    let late = topics.acknowledge(&settle("g", &held, ClaimedOffsets::All)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ClaimLost);
    append(&topics, 2_500..2_501).await;
    assert_eq!(numbers(&topics.consume(&of("g")).await.unwrap()), [2_500]);
    let again = topics.append(TOPIC, &[order(7)], OnDuplicateRecord::Refuse).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate, "what was appended once is a duplicate for ever");
}

#[tokio::test]
async fn an_answer_is_bounded_by_its_bytes() {
    let topics = shop(1).await;
    let large = "x".repeat(800_000);
    for n in 0..14 {
        let record = to_raw_value(&json!({ "n": n, "customer": "c", "text": large })).unwrap();
        topics.append(TOPIC, &[record], OnDuplicateRecord::Refuse).await.unwrap();
    }
    let claimed = topics.consume(&of("g")).await.unwrap();
    assert_eq!(claimed.records.len(), 11, "about 8 MiB");
    assert_eq!(topics.consume(&of("g")).await.unwrap().records.len(), 3, "the others were given back");
    let read = topics.consume(&ConsumeRequest::of(TOPIC).start(PartitionStart::Earliest)).await.unwrap();
    assert_eq!((read.records.len(), read.has_more), (11, true));
}

/// A claim that is held here can be settled by the library's own claimer, too.
#[tokio::test]
async fn claims_are_those_of_the_library() {
    let topics = shop(1).await;
    append(&topics, 0..3).await;
    let consumed = topics.consume(&of("g")).await.unwrap();
    let worker = messagekit::log::RecordClaimer::new(topics.store().clone(), "g", TOPIC);
    let claim = worker.find(&consumed.claim.unwrap().id, 0).await.unwrap();
    assert_eq!(worker.acknowledge(&claim, Which::All).await.unwrap(), 3);
}
