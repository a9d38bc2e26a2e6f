//! Claims that keep the order of each key.

use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::log::PartitionStart;
use messagekit_topic_store::{Claimed, RecordClaimer, Which};
use tokio::time::Instant;

use super::LogFixture;
use super::fixture::{claim, claim_now, keyed_topic, offsets};
use super::storm::apply;
use crate::{DEADLINE, unique};

/// Longer than a test.
const LONG: Duration = Duration::from_secs(3_600);

/// A record waits for those of its key in front of it, and for no others; what it waits for is kept from other processes, too.
pub async fn keys_keep_their_order_and_others_go_on<F: LogFixture>(fixture: &F) {
    let topic = keyed_topic(fixture, "ab-aaab").await;
    let consumer = unique("consumer");
    let worker = |store| RecordClaimer::new(store, &*consumer, topic.clone()).ordered_by_key();
    let (one, other) = (worker(fixture.store()), worker(fixture.another_process().await));
    let first = claim(&one, 1).await;
    let others = claim(&other, 10).await;
    assert_eq!((offsets(&first), offsets(&others)), (vec![0], vec![1, 2, 6]));
    assert_eq!(claim_now(&one, 10).await, [0; 0]);
    one.retry(&first, Which::All, LONG, "no stock").await.expect("gives it back");
    assert_eq!(claim_now(&other, 10).await, [0; 0], "it is not due");
    one.reset(0, PartitionStart::Offset(3)).await.expect("goes on behind it");
    let rest = claim(&other, 10).await;
    assert_eq!(offsets(&rest), [3, 4, 5, 6], "records of a key may be in one claim");
    assert!(rest.records.iter().all(|record| record.attempt == 1), "{rest:?}");
}

/// The keys of all records that are not settled count, whatever is settled between them.
pub async fn each_unsettled_record_holds_its_key<F: LogFixture>(fixture: &F) {
    let topic = keyed_topic(fixture, "aXaYbcab").await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic).ordered_by_key();
    let first = claim(&worker, 6).await;
    worker.acknowledge(&first, Which::Offsets(&[1, 3, 5])).await.expect("acknowledges");
    assert_eq!(claim_now(&worker, 10).await, [0; 0], "0, 2 and 4 are claimed");
    worker.acknowledge(&first, Which::Offsets(&[4])).await.expect("acknowledges");
    assert_eq!(claim_now(&worker, 10).await, [7]);
    worker.acknowledge(&first, Which::Offsets(&[0])).await.expect("acknowledges");
    assert_eq!(claim_now(&worker, 10).await, [0; 0], "2 is claimed");
    worker.acknowledge(&first, Which::Offsets(&[2])).await.expect("acknowledges");
    assert_eq!(claim_now(&worker, 10).await, [6]);
}

/// A record that is given back takes those of its key behind it out of the claim, and none of them counts an attempt for it.
pub async fn record_given_back_takes_its_key_along<F: LogFixture>(fixture: &F) {
    let topic = keyed_topic(fixture, "abab-a").await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic).ordered_by_key();
    let first = claim(&worker, 6).await;
    worker.acknowledge(&first, Which::Offsets(&[1])).await.expect("acknowledges");
    worker.retry(&first, Which::Offsets(&[0]), LONG, "no stock").await.expect("gives it back");
    assert_eq!(claim_now(&worker, 10).await, [0; 0], "2 and 5 wait behind 0");
    let late = worker.acknowledge(&first, Which::Offsets(&[2])).await.expect_err("it is not in the claim");
    assert_eq!(late.kind(), ErrorKind::ClaimLost);
    worker.acknowledge(&first, Which::All).await.expect("acknowledges what it still has: 3 and 4");

    worker.reset(0, PartitionStart::Offset(2)).await.expect("goes back");
    let second = claim(&worker, 9).await;
    worker.release(&second, Which::Offsets(&[2])).await.expect("gives it back");
    let third = claim(&worker, 9).await;
    let attempts: Vec<u32> = third.records.iter().map(|record| record.attempt).collect();
    assert_eq!((offsets(&third), attempts), (vec![2, 5], vec![1, 1]));
}

const KEYS: i64 = 3;
const RECORDS: i64 = 60;

/// Workers of several processes finish, release, fail and end in a random order. The effects of each key follow each other.
pub async fn effects_of_a_key_follow_each_other<F: LogFixture>(fixture: &F) {
    let topic = keyed_topic(fixture, &"abc".repeat(RECORDS as usize / 3)).await;
    let consumer = unique("consumer");
    let effect = |offset: i64| format!("{consumer}/{offset}");
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (end, mut next) = (Instant::now() + DEADLINE, [0, 1, 2]);
    while next.iter().any(|next| *next < RECORDS) {
        assert!(Instant::now() < end, "the next records are {next:?}, seed {seed}");
        let store = if random.bool() { fixture.store() } else { fixture.another_process().await };
        let worker = RecordClaimer::new(store.clone(), &*consumer, topic.clone());
        let lease = Duration::from_millis(random.u64(1..40));
        let worker = worker.ordered_by_key().max_attempts(1_000_000).lease(lease);
        let Ok(Claimed::Records(claim)) = worker.claim(random.u32(1..8)).await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let claimed = offsets(&claim);
        let some = &claimed[random.usize(..claimed.len())..][..1];
        match random.u8(..10) {
            0 => drop(worker.release(&claim, Which::Offsets(some)).await),
            1 => drop(worker.retry(&claim, Which::Offsets(some), Duration::from_millis(2), "no stock").await),
            2 => tokio::time::sleep(Duration::from_millis(random.u64(..60))).await,
            3 => continue,
            _ => {}
        }
        // Those that were given back are lost, and their effects with them.
        let chosen = &claimed[..random.usize(..=claimed.len())];
        if apply(fixture, &worker, &store, &claim, chosen, effect).await.is_ok() {
            for offset in chosen {
                let next = &mut next[(*offset % KEYS) as usize];
                assert_eq!(*offset, *next, "the next record of its key, seed {seed}");
                *next += KEYS;
            }
        }
    }
}
