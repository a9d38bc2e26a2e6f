//! One rule of what a consumer has settled, however it has: by claims, in any order, or one record after another.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use futures_util::{Stream, TryStreamExt};
use messagekit::ErrorKind;
use messagekit::operations::DatabaseStatus;
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimer, TopicDefinitions, TopicView, Which};
use messagekit_topics::{Error, Record, RecordStatus, Topic, Topics};
use serde_json::{Value, json};

use super::home::{Db, SEEDS, topics};

const TOPIC: &str = "shop.jobs";

async fn opened(topics: &Topics<Db>, partitions: u32, records: u32) -> Topic<Value, Db> {
    let partitions = NonZeroU32::new(partitions).unwrap();
    let topic = topics.untyped(TOPIC).key("shop").partitions(partitions).open().await.unwrap();
    let rows: Vec<_> = (0..records).map(|n| json!({ "n": n, "shop": format!("s-{}", n % 16) })).collect();
    topic.extend(&rows).await.unwrap();
    topic.named("billing")
}

fn worker(topics: &Topics<Db>) -> RecordClaimer<Db> {
    RecordClaimer::new(topics.store().clone(), "billing", TOPIC).for_others()
}

async fn claim(worker: &RecordClaimer<Db>, max: u32) -> Option<RecordClaim> {
    match worker.claim(max).await.unwrap() {
        Claimed::Records(claim) => Some(claim),
        _ => None,
    }
}

fn offsets(claim: &RecordClaim) -> Vec<i64> {
    claim.records.iter().map(|record| record.record.position.offset).collect()
}

async fn places(records: impl Stream<Item = Result<Record<Value>, Error>>) -> BTreeSet<(i32, i64)> {
    let records: Vec<_> = records.try_collect().await.unwrap();
    records.iter().map(|record| (record.partition, record.offset)).collect()
}

/// Returns the new and the handled records of the counts, what the view of the lags adds up to, and what the status says.
async fn numbers(topics: &Topics<Db>, topic: &Topic<Value, Db>) -> (u64, u64, u64, u64) {
    let counts = topic.count().await.unwrap();
    let rows = topics.store().view_rows(TopicView::TopicOffsets).await.unwrap();
    let lag = rows.iter().filter(|row| row[1] == "billing").map(|row| row[5].as_u64().unwrap()).sum();
    let statuses = topics.store().consumer_statuses().await.unwrap();
    let own = statuses.iter().filter(|status| status.consumer == "billing");
    let behind = own.flat_map(|status| &status.positions).filter_map(|position| position.behind).sum();
    (counts.new, counts.handled, lag, behind)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_acknowledged_out_of_order_is_handled_everywhere() {
    let topics = topics().await;
    let topic = opened(&topics, 1, 3).await;
    let worker = worker(&topics);
    let held = claim(&worker, 2).await.unwrap();
    worker.acknowledge(&held, Which::Offsets(&[1])).await.unwrap();
    worker.release(&held, Which::Offsets(&[0])).await.unwrap();
    assert_eq!(places(topic.iter_new()).await, [(0, 0), (0, 2)].into());
    assert_eq!(places(topic.iter_handled()).await, [(0, 1)].into());
    assert_eq!(numbers(&topics, &topic).await, (2, 1, 2, 2));
    let second: Record<Value> = topic.get(2).await.unwrap().unwrap();
    assert_eq!(second.status, RecordStatus::Handled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_behind_makes_nothing_of_others_new() {
    let topics = topics().await;
    let topic = opened(&topics, 2, 40).await;
    let worker = worker(&topics).of_partition(1);
    let held = claim(&worker, 100).await.unwrap();
    worker.acknowledge(&held, Which::All).await.unwrap();
    let settled: BTreeSet<_> = offsets(&held).into_iter().map(|offset| (1, offset)).collect();
    assert!(!settled.is_empty() && settled.len() < 40, "both partitions have records");
    assert_eq!(places(topic.iter_handled()).await, settled);
    assert!(places(topic.iter_new()).await.iter().all(|(partition, _)| *partition == 0));
    assert_eq!(numbers(&topics, &topic).await.1, settled.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_acknowledged_alone_keeps_what_claims_have_settled() {
    let topics = topics().await;
    let topic = opened(&topics, 1, 4).await;
    let worker = worker(&topics);
    let held = claim(&worker, 3).await.unwrap();
    worker.acknowledge(&held, Which::Offsets(&[1])).await.unwrap();
    topic.set_handled(1).await.unwrap();
    let lost = worker.acknowledge(&held, Which::Offsets(&[0])).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::ClaimLost, "the record is settled already");
    assert_eq!(numbers(&topics, &topic).await, (2, 2, 2, 2));
    worker.release(&held, Which::Offsets(&[2])).await.unwrap();
    assert_eq!(offsets(&claim(&worker, 9).await.unwrap()), [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_leaves_out_what_was_acknowledged_alone() {
    let topics = topics().await;
    let topic = opened(&topics, 1, 6).await;
    for id in [2, 3, 5] {
        topic.set_handled(id).await.unwrap();
    }
    let worker = worker(&topics);
    let first = claim(&worker, 2).await.unwrap();
    assert_eq!(offsets(&first), [0, 3]);
    topic.set_handled(6).await.unwrap();
    assert!(claim(&worker, 9).await.is_none(), "the last one was acknowledged, too");
    worker.acknowledge(&first, Which::All).await.unwrap();
    assert_eq!(numbers(&topics, &topic).await, (0, 6, 0, 0));
}

/// Random calls of workers and of readers that acknowledge one record: what one of them settles is settled for all.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_settles_a_record_settles_it_for_all() {
    for seed in 0..SEEDS {
        lives(seed).await;
    }
}

async fn lives(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let topics = topics().await;
    let topic = opened(&topics, random.u32(1..4), 30).await;
    let worker = worker(&topics);
    let all = places(topic.iter_all()).await;
    let ids: Vec<Record<Value>> = topic.iter_all().try_collect().await.unwrap();
    let mut settled: BTreeSet<(i32, i64)> = BTreeSet::new();
    let mut claims: Vec<RecordClaim> = Vec::new();
    let mut has_claimed = false;
    for step in 0..25 {
        match random.u32(0..4) {
            0 => {
                let claimed = claim(&worker, random.u32(1..6)).await;
                has_claimed = true;
                for record in claimed.iter().flat_map(|claim| &claim.records) {
                    let position = &record.record.position;
                    let place = (position.partition, position.offset);
                    assert!(!settled.contains(&place), "seed {seed}, step {step}: {place:?} is settled");
                }
                claims.extend(claimed);
            }
            1 | 2 if !claims.is_empty() => {
                let held = claims.swap_remove(random.usize(..claims.len()));
                let (mut done, mut left) = (Vec::new(), Vec::new());
                for offset in offsets(&held) {
                    if settled.contains(&(held.partition, offset)) {
                        continue;
                    }
                    if random.bool() { done.push(offset) } else { left.push(offset) }
                }
                worker.acknowledge(&held, Which::Offsets(&done)).await.unwrap();
                settled.extend(done.iter().map(|offset| (held.partition, *offset)));
                worker.release(&held, Which::Offsets(&left)).await.unwrap();
            }
            _ => {
                let record = &ids[random.usize(..ids.len())];
                topic.ack(record).await.unwrap();
                settled.insert((record.partition, record.offset));
            }
        }
        let open: BTreeSet<_> = all.difference(&settled).copied().collect();
        assert_eq!(places(topic.iter_new()).await, open, "seed {seed}, step {step}");
        assert_eq!(places(topic.iter_handled()).await, settled, "seed {seed}, step {step}");
        let (new, handled, lag, behind) = numbers(&topics, &topic).await;
        assert_eq!((new, handled), (open.len() as u64, settled.len() as u64), "seed {seed}, step {step}");
        if has_claimed {
            assert_eq!((lag, behind), (new, new), "seed {seed}, step {step}");
        }
    }
}
