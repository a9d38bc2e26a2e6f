//! Random workers.

use std::time::Duration;

use messagekit::{Error, ErrorKind, Store};
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimer, Which};
use tokio::time::Instant;

use super::LogFixture;
use super::fixture::{offsets, topic_of};
use crate::{DEADLINE, unique};

const RECORDS: usize = 60;

/// Workers of several processes acknowledge, release, fail, come too late and end, in a random order. Every record has its effect
/// exactly once.
pub async fn workers_finish_each_record_once<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, RECORDS).await, unique("consumer"));
    let effect = |offset: i64| format!("{consumer}/{offset}");
    let worker =
        |store: F::Store| RecordClaimer::new(store, &*consumer, topic.clone()).max_attempts(1_000_000);
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let end = Instant::now() + DEADLINE;
    let mut finished = 0;
    while finished < RECORDS {
        assert!(Instant::now() < end, "{finished} of {RECORDS} records are finished, seed {seed}");
        let store = if random.bool() { fixture.store() } else { fixture.another_process().await };
        let worker = worker(store.clone()).lease(Duration::from_millis(random.u64(1..40)));
        let Ok(Claimed::Records(claim)) = worker.claim(random.u32(1..8)).await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        match random.u8(..10) {
            0 => drop(worker.release(&claim, Which::UpTo(offsets(&claim)[0])).await),
            1 => drop(worker.retry(&claim, Which::All, Duration::from_millis(2), "no stock").await),
            2 => {}
            choice => {
                if choice == 3 {
                    tokio::time::sleep(Duration::from_millis(random.u64(..60))).await;
                }
                let chosen: Vec<i64> = offsets(&claim).into_iter().filter(|_| random.u8(..4) > 0).collect();
                match apply(fixture, &worker, &store, &claim, &chosen, effect).await {
                    Ok(()) => finished += chosen.len(),
                    Err(error) => assert!(
                        error.is_transient() || error.kind() == ErrorKind::ClaimLost,
                        "{error:?}, seed {seed}"
                    ),
                }
            }
        }
    }
    for offset in 0..RECORDS as i64 {
        assert_eq!(fixture.effects(&effect(offset)).await, 1, "effects of {offset}, seed {seed}");
    }
}

/// Writes the effects of records and acknowledges them, in one transaction.
pub(super) async fn apply<F: LogFixture>(
    fixture: &F,
    worker: &RecordClaimer<F::Store>,
    store: &F::Store,
    claim: &RecordClaim,
    chosen: &[i64],
    effect: impl Fn(i64) -> String,
) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    for offset in chosen {
        fixture.effect(&mut tx, &effect(*offset)).await;
    }
    match worker.acknowledge_in(&mut tx, claim, Which::Offsets(chosen)).await {
        Ok(_) => store.commit(tx).await,
        Err(error) => {
            store.rollback(tx).await?;
            Err(error)
        }
    }
}
