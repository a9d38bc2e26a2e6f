//! The ends of claims that no worker settled.

use std::time::Duration;

use messagekit::ErrorKind;
use messagekit_topic_store::{RecordClaimer, Which};

use super::LogFixture;
use super::fixture::{claim, claim_now, offsets, topic_of};
use crate::store::until_through;
use crate::{DEADLINE, eventually, unique};

/// Longer than any case.
const LONG: Duration = Duration::from_secs(3_600);
/// Over before the next question.
const SHORT: Duration = Duration::from_millis(1);

/// Records of a claim whose lease has ended are claimed again, one by one: one of them may be to blame.
pub async fn claims_end_with_their_lease<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 2).await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic).lease(SHORT);
    assert_eq!(claim_now(&worker, 10).await, [0, 1]);
    let patient = worker.lease(LONG);
    let mut again = Vec::new();
    eventually("both come back", DEADLINE, async || {
        again.extend(claim_now(&patient, 10).await);
        again.len() >= 2
    })
    .await;
    assert_eq!(again, [0, 1]);
}

/// A worker that is too late settles nothing, also from another process.
pub async fn late_claim_settles_nothing<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 1).await, unique("consumer"));
    let late = RecordClaimer::new(fixture.store(), &*consumer, topic.clone()).lease(SHORT);
    let there = RecordClaimer::new(fixture.another_process().await, &*consumer, topic).lease(LONG);
    let lost = claim(&late, 1).await;
    let mut again = None;
    eventually("the record comes back", DEADLINE, async || {
        if let Ok(messagekit_topic_store::Claimed::Records(claim)) = there.claim(1).await {
            again = Some(claim);
        }
        again.is_some()
    })
    .await;
    let again = again.expect("it was claimed");
    assert_eq!((offsets(&again), again.records[0].attempt), (vec![0], 2));
    for which in [Which::All, Which::UpTo(9), Which::Offsets(&[0])] {
        let refused = late.acknowledge(&lost, which).await.expect_err("the claim is lost");
        assert_eq!((refused.kind(), refused.is_transient()), (ErrorKind::ClaimLost, false));
    }
    assert_eq!(late.extend(&lost).await.expect_err("the claim is lost").kind(), ErrorKind::ClaimLost);
    assert_eq!(until_through(|| there.acknowledge(&again, Which::All)).await, 1);
}

/// The claims of a process end with it, however long their lease.
pub async fn claims_of_an_ended_process_come_back_at_once<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 1).await, unique("consumer"));
    let there = RecordClaimer::new(fixture.another_process().await, &*consumer, topic.clone()).lease(LONG);
    assert_eq!(claim_now(&there, 10).await, [0]);
    let here = RecordClaimer::new(fixture.store(), &*consumer, topic).lease(LONG);
    drop(there);
    eventually("the record comes back", DEADLINE, async || claim_now(&here, 10).await == [0]).await;
}

/// A process that lives keeps its claims while others ask.
pub async fn claims_of_a_living_process_stay<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 1).await, unique("consumer"));
    let there = RecordClaimer::new(fixture.another_process().await, &*consumer, topic.clone()).lease(LONG);
    let claimed = claim(&there, 10).await;
    let here = RecordClaimer::new(fixture.store(), &*consumer, topic).lease(LONG);
    for _ in 0..3 {
        assert_eq!(claim_now(&here, 10).await, [0_i64; 0]);
    }
    assert_eq!(until_through(|| there.acknowledge(&claimed, Which::All)).await, 1);
}
