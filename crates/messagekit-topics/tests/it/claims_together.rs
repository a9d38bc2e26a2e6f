//! Calls of one group that wait at the same time share a transaction, and nothing else.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use messagekit::{Error, ErrorKind, Store};
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimId, RecordClaimer, Which};
use messagekit_topics::Topics;
use serde_json::json;

use super::home::{Db, Home};

const TOPIC: &str = "shop.jobs";
const LONG: Duration = Duration::from_secs(600);

/// A topic with records, and a transaction of another program that holds the group's window: calls wait.
struct Held {
    _home: Home,
    topics: Topics<Db>,
    /// The claim that the transaction settles.
    first: RecordClaim,
    other: Topics<Db>,
    tx: <Db as Store>::Tx,
}

impl Held {
    async fn with(records: usize) -> Self {
        let home = Home::new().await;
        let (topics, other) = (home.topics().await, home.topics().await);
        let topic = topics.untyped(TOPIC).partitions(NonZeroU32::MIN).open().await.unwrap();
        let rows: Vec<_> = (0..records).map(|number| json!({ "number": number })).collect();
        topic.extend(&rows).await.unwrap();
        let first = claim_one(&worker(&topics)).await.unwrap();
        let mut tx = other.store().begin().await.unwrap();
        worker(&other).acknowledge_in(&mut tx, &first, Which::All).await.unwrap();
        Self { _home: home, topics, first, other, tx }
    }

    /// Rolls the transaction back.
    async fn let_go(self) -> (Home, Topics<Db>) {
        self.other.store().rollback(self.tx).await.unwrap();
        (self._home, self.topics)
    }
}

fn worker(topics: &Topics<Db>) -> RecordClaimer<Db> {
    RecordClaimer::new(topics.store().clone(), "billing", TOPIC).lease(LONG).for_others()
}

async fn claim(worker: &RecordClaimer<Db>, max: u32) -> Result<RecordClaim, Error> {
    match worker.claim(max).await? {
        Claimed::Records(claim) => Ok(claim),
        other => panic!("records wait: {other:?}"),
    }
}

async fn claim_one(worker: &RecordClaimer<Db>) -> Result<RecordClaim, Error> {
    claim(worker, 1).await
}

fn offsets(claim: &RecordClaim) -> Vec<i64> {
    claim.records.iter().map(|record| record.record.position.offset).collect()
}

/// Begins a call, which must wait.
async fn begun<T>(call: impl Future<Output = T> + Send + 'static) -> Pin<Box<dyn Future<Output = T> + Send>> {
    let mut call: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(call);
    std::future::poll_fn(|cx| {
        assert!(call.as_mut().poll(cx).is_pending(), "the window is held");
        Poll::Ready(())
    })
    .await;
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_wait_share_one_transaction() {
    const CALLS: usize = 40;
    let held = Held::with(1 + 3 * CALLS).await;
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        let worker = worker(&held.topics);
        calls.push(begun(async move { claim(&worker, 3).await }).await);
    }
    let first = held.first.clone();
    let (_home, topics) = held.let_go().await;
    let (mut claims, mut seen, mut times) = (vec![first], BTreeSet::new(), BTreeSet::new());
    for call in calls {
        let claim = call.await.unwrap();
        assert_eq!(claim.records.len(), 3);
        for record in &claim.records {
            let (offset, payload) = (record.record.position.offset, &record.record.message.payload);
            assert!(seen.insert(offset), "{offset} is in two claims");
            assert_eq!(payload, json!({ "number": offset }).to_string().as_str(), "of its own record");
        }
        // The time of the database when the transaction had the window, and a lease.
        times.insert(claim.until);
        claims.push(claim);
    }
    assert_eq!(seen.len(), 3 * CALLS);
    assert_eq!(times.len(), 2, "the first one went alone: {times:?}");
    let mut settled = Vec::new();
    for claim in claims {
        let worker = worker(&topics);
        settled.push(tokio::spawn(async move { worker.acknowledge(&claim, Which::All).await }));
    }
    for settled in settled {
        settled.await.unwrap().unwrap();
    }
    assert!(matches!(worker(&topics).claim(1).await.unwrap(), Claimed::Nothing { due: None }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_costs_the_others_nothing() {
    const CALLS: usize = 12;
    let held = Held::with(1 + CALLS).await;
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        let worker = worker(&held.topics).lease(Duration::from_secs(15));
        let call = async move {
            let claim = claim_one(&worker).await?;
            worker.acknowledge(&claim, Which::All).await?;
            Ok::<_, Error>(offsets(&claim))
        };
        calls.push(begun(call).await);
    }
    // The first one has its turn; the others wait for theirs.
    for given_up in [7, 3, 0] {
        drop(calls.remove(given_up));
    }
    let first = held.first.clone();
    let (_home, topics) = held.let_go().await;
    let mut handled = Vec::new();
    for call in calls {
        handled.extend(call.await.unwrap());
    }
    assert_eq!(handled.len(), CALLS - 3);
    // What the caller of the first turn had comes back with its lease.
    eventually("every record is handled", DEADLINE, async || {
        if let Claimed::Records(claim) = worker(&topics).claim(1).await.unwrap() {
            worker(&topics).acknowledge(&claim, Which::All).await.unwrap();
            handled.extend(offsets(&claim));
        }
        handled.len() == CALLS
    })
    .await;
    handled.sort_unstable();
    let expected: Vec<i64> = (1..=i64::try_from(CALLS).unwrap()).collect();
    assert_eq!(handled, expected, "each one once");
    assert_eq!(worker(&topics).acknowledge(&first, Which::All).await.unwrap(), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_one_caller_is_its_own() {
    let held = Held::with(4).await;
    let lost = RecordClaim { id: RecordClaimId::from_text("gone"), ..held.first.clone() };
    let of = |settled: RecordClaim| {
        let worker = worker(&held.topics);
        async move { worker.acknowledge(&settled, Which::All).await }
    };
    let one = |worker: RecordClaimer<Db>| async move { claim_one(&worker).await };
    let alone = begun(one(worker(&held.topics))).await;
    let not_held = begun(of(lost)).await;
    let nowhere = begun(one(worker(&held.topics).of_partition(9))).await;
    let settled = begun(of(held.first.clone())).await;
    let twice = begun(of(held.first.clone())).await;
    let good = begun(one(worker(&held.topics))).await;
    let (_home, topics) = held.let_go().await;
    assert_eq!(offsets(&alone.await.unwrap()), [1]);
    assert_eq!(not_held.await.unwrap_err().kind(), ErrorKind::ClaimLost);
    assert_eq!(nowhere.await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(settled.await.unwrap(), 1);
    assert_eq!(twice.await.unwrap_err().kind(), ErrorKind::ClaimLost);
    assert_eq!(offsets(&good.await.unwrap()), [2]);
    assert_eq!(offsets(&claim(&worker(&topics), 9).await.unwrap()), [3], "the error has taken none");
}
