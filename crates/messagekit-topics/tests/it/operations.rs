//! Topics by their names, as statements and HTTP use them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::{ErrorKind, Shutdown};
use messagekit_topic_store::{RecordClaimId, Which};
use messagekit_topics::Topics;
use messagekit_topics::operations::wire::{
    Acknowledge, Append, AppendedRecord, Consume, ConsumeAnswer, Deleted, Extend, GiveBack, Start,
};
use messagekit_topics::operations::{NewTopic, TopicOperations};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::home::{self, Db, Home};

const TOPIC: &str = "shop.orders";
const LONG: u64 = 60;

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
    topics.append(&Append::records(TOPIC, numbers.map(order).collect())).await.unwrap();
}

fn of(group: &str) -> Consume {
    Consume { group_id: Some(group.into()), ..from(Start::Earliest) }
}

fn from(start: Start) -> Consume {
    Consume { start: Some(start), ..Consume::of(TOPIC) }
}

fn limited(limit: u32, request: Consume) -> Consume {
    Consume { limit: Some(limit), ..request }
}

async fn consume(topics: &Topics<Db>, request: &Consume) -> ConsumeAnswer {
    topics.consume(request, None).await.unwrap()
}

fn numbers(answer: &ConsumeAnswer) -> Vec<i64> {
    let number = |payload: &[u8]| serde_json::from_slice::<Value>(payload).unwrap()["n"].as_i64().unwrap();
    answer.messages.iter().map(|record| number(&record.payload)).collect()
}

fn all(group: &str, answer: &ConsumeAnswer) -> Acknowledge {
    Acknowledge::all(TOPIC, group, answer.messages[0].partition_id, answer.claim_id.as_deref().unwrap())
}

fn these(group: &str, answer: &ConsumeAnswer, offsets: &[i64]) -> Acknowledge {
    Acknowledge { offsets: Some(offsets.to_vec()), ..all(group, answer) }
}

/// Returns the end of the settled prefix.
async fn acknowledged(topics: &Topics<Db>, request: &Acknowledge) -> i64 {
    topics.acknowledge(request).await.unwrap().acknowledged_offset.map_or(0, |offset| offset + 1)
}

fn untried(group: &str, answer: &ConsumeAnswer) -> GiveBack {
    GiveBack::untried(TOPIC, group, answer.messages[0].partition_id, answer.claim_id.as_deref().unwrap())
}

fn failed(group: &str, answer: &ConsumeAnswer, delay_seconds: u64) -> GiveBack {
    GiveBack { tried: true, delay_seconds, error: Some("no stock".into()), ..untried(group, answer) }
}

#[tokio::test]
async fn a_group_claims_and_a_reader_stores_nothing() {
    let topics = shop(1).await;
    append(&topics, 0..5).await;
    let read = consume(&topics, &limited(3, from(Start::Earliest))).await;
    assert_eq!((numbers(&read), read.has_more, read.next_offset), (vec![0, 1, 2], true, Some(3)));
    assert_eq!(read.claim_id, None);
    let rest = consume(&topics, &from(Start::Offset(3))).await;
    assert_eq!((numbers(&rest), rest.has_more), (vec![3, 4], false));
    let latest = consume(&topics, &Consume::of(TOPIC)).await;
    assert_eq!((latest.messages.len(), latest.next_offset), (0, Some(5)));

    let first = consume(&topics, &limited(2, of("g"))).await;
    assert_eq!((numbers(&first), first.has_more), (vec![0, 1], true));
    let record = &first.messages[1];
    assert_eq!((record.partition_id, record.offset, record.attempt), (0, 1, Some(1)));
    assert_eq!((record.key.as_deref(), &*record.op), (Some("c1"), "Insert"));
    assert!(record.event_id.is_some());
    assert_eq!(numbers(&consume(&topics, &of("g")).await), [2, 3, 4], "no record twice");
    assert_eq!(numbers(&consume(&topics, &of("other")).await).len(), 5, "groups are apart");
    assert_eq!(acknowledged(&topics, &all("g", &first)).await, 2);
}

#[tokio::test]
async fn one_claim_settles_nothing_of_another() {
    let topics = shop(1).await;
    append(&topics, 0..20).await;
    let first = consume(&topics, &limited(10, of("g"))).await;
    let second = consume(&topics, &limited(10, of("g"))).await;
    assert_eq!(
        acknowledged(&topics, &Acknowledge::up_to(TOPIC, "g", 0, 19)).await,
        0,
        "the first claim stays"
    );
    assert_eq!(acknowledged(&topics, &Acknowledge::up_to(TOPIC, "g", 0, 4)).await, 5);
    assert_eq!(acknowledged(&topics, &Acknowledge::up_to(TOPIC, "g", 0, 2)).await, 5, "it does not go back");
    let late = Acknowledge { upto_offset: Some(19), ..all("g", &second) };
    let late = topics.acknowledge(&late).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ClaimLost, "it is settled already");
    assert_eq!(acknowledged(&topics, &these("g", &first, &[7, 5])).await, 6);
    let beyond = topics.acknowledge(&Acknowledge::up_to(TOPIC, "g", 0, 20)).await.unwrap_err();
    assert_eq!((beyond.kind(), beyond.context("end")), (ErrorKind::OutOfRange, Some("20")));
    assert_eq!(acknowledged(&topics, &all("g", &first)).await, 20);
}

#[tokio::test]
async fn failed_records_come_again_and_end_as_failed_messages() {
    let topics = shop(1).await;
    append(&topics, 0..2).await;
    for attempt in 1..=10 {
        let consumed = consume(&topics, &limited(1, of("g"))).await;
        assert_eq!((numbers(&consumed), consumed.messages[0].attempt), (vec![0], Some(attempt)));
        topics.give_back(&failed("g", &consumed, 0)).await.unwrap();
    }
    let next = consume(&topics, &of("g")).await;
    assert_eq!(numbers(&next), [1], "the first one is a failed message");
    let foreign = GiveBack { offsets: Some(vec![0]), ..failed("g", &next, LONG) };
    let refused = topics.give_back(&foreign).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ClaimLost);
    let GiveBack { topic_id, group_id, partition_id, claim_id, .. } = untried("g", &next);
    let extend = Extend { topic_id, group_id, partition_id, claim_id, lease_seconds: Some(2 * LONG) };
    let extended = topics.extend(&extend).await.unwrap();
    assert!(extended.lease_until_ms > next.lease_until_ms.unwrap());
    topics.give_back(&failed("g", &next, LONG)).await.unwrap();
    assert!(consume(&topics, &of("g")).await.messages.is_empty(), "its delay is not over");
}

/// A worker that ends gives back what it has not begun: however often that happens, no attempt is used up.
#[tokio::test]
async fn released_records_come_again_at_once_and_uncounted() {
    let topics = shop(1).await;
    append(&topics, 0..3).await;
    for _ in 0..15 {
        let consumed = consume(&topics, &of("g")).await;
        assert_eq!(numbers(&consumed), [0, 1, 2]);
        assert!(consumed.messages.iter().all(|record| record.attempt == Some(1)), "{:?}", consumed.messages);
        topics.give_back(&untried("g", &consumed)).await.unwrap();
    }
    let consumed = consume(&topics, &of("g")).await;
    topics.acknowledge(&these("g", &consumed, &[0])).await.unwrap();
    let first = GiveBack { offsets: Some(vec![0]), ..untried("g", &consumed) };
    let refused = topics.give_back(&first).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ClaimLost);
    topics.give_back(&untried("g", &consumed)).await.unwrap();
    assert_eq!(numbers(&consume(&topics, &of("g")).await), [1, 2]);
}

#[tokio::test]
async fn a_waiting_call_has_records_when_they_come() {
    let home = Home::new().await;
    let (topics, writer) = (home.topics().await, home.topics().await);
    assert!(topics.create_topic(&NewTopic::named(TOPIC)).await.unwrap());
    // A reader may wait for an offset that is not written yet.
    let requests = [of("g"), from(Start::Offset(1))];
    for (request, n) in requests.into_iter().zip([7, 8]) {
        let waits = Consume { timeout_seconds: Some(LONG), ..request };
        let (consumed, ()) = tokio::join!(consume(&topics, &waits), append(&writer, n..n + 1));
        assert_eq!(numbers(&consumed), [n]);
    }
    let latest = Consume { start: None, timeout_seconds: Some(1), ..of("late") };
    assert!(consume(&topics, &latest).await.messages.is_empty());
    let (latest, shutdown) = (Consume { timeout_seconds: Some(LONG), ..latest }, Shutdown::new());
    let waits = topics.consume(&latest, Some(shutdown.clone()));
    let ended = async { tokio::join!(waits, async { shutdown.request() }).0.unwrap() };
    let ended = tokio::time::timeout(Duration::from_secs(LONG / 2), ended).await.expect("it waits no longer");
    assert!(ended.messages.is_empty());
}

#[tokio::test]
async fn a_group_that_begins_at_the_end_has_what_comes_later() {
    let topics = shop(2).await;
    append(&topics, 0..10).await;
    let latest = Consume { start: None, ..of("g") };
    assert!(consume(&topics, &latest).await.messages.is_empty());
    append(&topics, 10..20).await;
    let mut found = Vec::new();
    loop {
        // The start is that of its first call.
        let consumed = consume(&topics, &of("g")).await;
        if consumed.messages.is_empty() {
            break;
        }
        found.extend(numbers(&consumed));
    }
    found.sort_unstable();
    assert_eq!(found, (10..20).collect::<Vec<_>>());
    let moved: BTreeMap<i32, i64> =
        topics.reset(TOPIC, "g", None, Start::Earliest).await.unwrap().into_iter().collect();
    assert_eq!(moved, BTreeMap::from([(0, 0), (1, 0)]));
    let one = consume(&topics, &Consume { partition_id: Some(1), ..of("g") }).await;
    assert!(!one.messages.is_empty() && one.messages.iter().all(|record| record.partition_id == 1));
    let none = topics.consume(&Consume { partition_id: Some(2), ..of("g") }, None).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn duplicates_are_refused_or_skipped() {
    let topics = shop(1).await;
    append(&topics, 0..2).await;
    let request = Append::records(TOPIC, vec![order(5), order(1)]);
    let refused = topics.append(&request).await.unwrap_err();
    assert_eq!((refused.kind(), refused.duplicate().unwrap().existing), (ErrorKind::Duplicate, 2));
    let skipped = topics.append(&Append { if_new: true, ..request }).await.unwrap().records.unwrap();
    let known = AppendedRecord { id: 2, duplicate: true };
    assert!(matches!(skipped[..], [first, second] if !first.duplicate && second == known), "{skipped:?}");
    let missing = topics.append(&Append::records("shop.nothing", vec![order(1)])).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(topics.definitions().await.unwrap().len(), 1, "an append makes no topic");
}

#[tokio::test]
async fn a_cleared_topic_goes_on_at_its_offsets() {
    let topics = shop(1).await;
    append(&topics, 0..2_500).await;
    let held = consume(&topics, &limited(2, of("g"))).await;
    assert_eq!(topics.clear_topic(TOPIC).await.unwrap(), 2_500);
    let bounds = topics.bounds(TOPIC).await.unwrap();
    assert_eq!((bounds[0].earliest, bounds[0].end), (2_500, 2_500));
    let read = topics.consume(&from(Start::Offset(3)), None).await.unwrap_err();
    assert_eq!((read.kind(), read.context("earliest")), (ErrorKind::OutOfRange, Some("2500")));
    let consumed = consume(&topics, &of("g")).await;
    assert_eq!(
        (consumed.messages.len(), consumed.deleted),
        (0, vec![Deleted { partition_id: 0, from: 0, to: 2_500 }])
    );
    let late = topics.acknowledge(&all("g", &held)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ClaimLost);
    append(&topics, 2_500..2_501).await;
    assert_eq!(numbers(&consume(&topics, &of("g")).await), [2_500]);
    let again = topics.append(&Append::records(TOPIC, vec![order(7)])).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate, "what was appended once is a duplicate for ever");
}

#[tokio::test]
async fn an_answer_is_bounded_by_its_bytes() {
    let topics = shop(1).await;
    let large = "x".repeat(800_000);
    for n in 0..14 {
        let record = to_raw_value(&json!({ "n": n, "customer": "c", "text": large })).unwrap();
        topics.append(&Append::records(TOPIC, vec![record])).await.unwrap();
    }
    let claimed = consume(&topics, &of("g")).await;
    assert_eq!(claimed.messages.len(), 11, "about 8 MiB");
    assert_eq!(consume(&topics, &of("g")).await.messages.len(), 3, "the others were given back");
    let read = consume(&topics, &from(Start::Earliest)).await;
    assert_eq!((read.messages.len(), read.has_more), (11, true));
}

/// A claim that is held here can be settled by the library's own claimer, too.
#[tokio::test]
async fn claims_are_those_of_the_library() {
    let topics = shop(1).await;
    append(&topics, 0..3).await;
    let consumed = consume(&topics, &of("g")).await;
    let worker = messagekit_topic_store::RecordClaimer::new(topics.store().clone(), "g", TOPIC);
    let claim = worker.find(&RecordClaimId::from_text(consumed.claim_id.unwrap()), 0).await.unwrap();
    assert_eq!(worker.acknowledge(&claim, Which::All).await.unwrap(), 3);
}

#[tokio::test]
async fn requests_that_contradict_themselves_are_refused() {
    let topics = shop(1).await;
    append(&topics, 0..1).await;
    let held = consume(&topics, &of("g")).await;
    let refused = [
        topics.consume(&Consume { group_id: Some(" ".into()), ..of("g") }, None).await.map(drop),
        topics.consume(&Consume { lease_seconds: Some(0), ..from(Start::Earliest) }, None).await.map(drop),
        topics.acknowledge(&Acknowledge { upto_offset: Some(0), ..these("g", &held, &[0]) }).await.map(drop),
        topics.acknowledge(&Acknowledge { claim_id: None, ..all("g", &held) }).await.map(drop),
        topics.acknowledge(&these("g", &held, &[])).await.map(drop),
        topics.acknowledge(&these("g", &held, &[0; 1_001])).await.map(drop),
        topics.give_back(&failed("g", &held, 8 * 24 * 60 * 60)).await.map(drop),
        topics.give_back(&GiveBack { tried: false, ..failed("g", &held, 1) }).await.map(drop),
        topics
            .append(&Append { data: Some(order(5)), ..Append::records(TOPIC, vec![order(6)]) })
            .await
            .map(drop),
        topics.append(&Append { records: None, ..Append::records(TOPIC, vec![]) }).await.map(drop),
    ];
    for (index, refused) in refused.into_iter().enumerate() {
        let error = refused.expect_err("it contradicts itself");
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{index}: {error}");
    }
    let strange = Acknowledge { claim_id: Some("zzq'".into()), ..all("g", &held) };
    let lost = topics.acknowledge(&strange).await.unwrap_err();
    assert!(lost.kind() == ErrorKind::ClaimLost && !lost.to_string().contains("zzq"), "{lost}");
    assert_eq!(acknowledged(&topics, &all("g", &held)).await, 1, "nothing was settled before");
}
