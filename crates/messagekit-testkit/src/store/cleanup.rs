//! Removal of old markers, and the report to their consumer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messagekit::Claim;
use messagekit::adapter::{Markers, ReceivedMessage};
use messagekit::cleanup::{CleanupTarget, Retention, clean};

use super::fixture::{claim_now, look, set_aside_now};
use super::{OperatorsFixture, dead, received};
use crate::unique;

const TOPIC: &str = "orders.order";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const SHORT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const LONG: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Runs the whole cleanup, and returns how many markers were removed, singly or with their whole day.
pub(super) async fn cleaned<F: OperatorsFixture>(fixture: &F, is_trial: bool) -> u64 {
    let done = clean(&fixture.store(), &Retention::default(), is_trial, std::future::pending::<()>()).await;
    let done = done.expect("what is old can be removed");
    done.iter().filter(|done| done.what == CleanupTarget::Markers).map(|done| done.removed + done.days).sum()
}

/// Records a dedup window, and returns the time since which the markers are complete.
pub(super) async fn note<F: OperatorsFixture>(
    fixture: &F,
    consumer: &str,
    window: Option<Duration>,
) -> Option<Timestamp> {
    fixture.store().note_window(consumer, window).await.expect("windows are noted")
}

/// Handles a message, and makes its marker older by `ago`.
pub(super) async fn handled<F: OperatorsFixture>(
    fixture: &F,
    consumer: &str,
    ago: Duration,
) -> ReceivedMessage {
    let message = received(TOPIC, "{}");
    assert_eq!(claim_now(&fixture.store(), consumer, &message).await, Claim::Fresh);
    fixture.age(consumer, TOPIC, ago).await;
    message
}

/// Returns the time that is `time` before now. The local clock may differ a little from the clock of the database.
fn ago(time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).expect("some days");
    Timestamp::now() - time
}

/// A marker is removed when it is a day older than the longest recorded dedup window. Markers of open failed messages
/// stay, and so do those of a consumer that accepts any age. Where whole days are removed at once, one kept marker may
/// keep others for two days more.
pub async fn markers_leave_a_day_after_their_window<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer, forever) = (fixture.store(), unique("consumer"), unique("consumer"));
    note(fixture, &consumer, Some(SHORT)).await;
    note(fixture, &forever, None).await;
    let held = received(TOPIC, "{}");
    set_aside_now(&store, &consumer, &held, &dead("no")).await;
    let gone = handled(fixture, &consumer, DAY * 4).await;
    let old = handled(fixture, &consumer, SHORT + DAY * 3 / 4).await;
    let young = handled(fixture, &consumer, Duration::ZERO).await;
    let kept = handled(fixture, &forever, LONG * 100).await;
    assert_eq!(cleaned(fixture, false).await, 1);
    let mut claims = Vec::new();
    for (owner, message) in
        [(&consumer, &gone), (&consumer, &old), (&consumer, &young), (&consumer, &held), (&forever, &kept)]
    {
        claims.push(look(&store, owner, message).await);
    }
    assert_eq!(claims, [Claim::Fresh, Claim::Done, Claim::Done, Claim::Held, Claim::Done]);
    assert_eq!(note(fixture, &forever, None).await, None);
}

/// The rows that a trial run counts still exist afterwards, and the markers are complete.
pub async fn trial_removes_nothing_and_tells_of_nothing<F: OperatorsFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    note(fixture, &consumer, Some(SHORT)).await;
    let old = handled(fixture, &consumer, SHORT * 2).await;
    assert_eq!(cleaned(fixture, true).await, 1);
    assert_eq!(look(&store, &consumer, &old).await, Claim::Done);
    assert_eq!(note(fixture, &consumer, Some(LONG)).await, None);
}

/// A message whose marker was removed is older than the time that its consumer learns, whatever dedup window it records by then.
/// A message inside the window at the cleanup is not.
pub async fn consumer_learns_since_when_its_markers_are_complete<F: OperatorsFixture>(fixture: &F) {
    let consumer = unique("consumer");
    assert_eq!(note(fixture, &consumer, Some(SHORT)).await, None, "nothing was ever removed");
    let old = SHORT + DAY * 4;
    handled(fixture, &consumer, old).await;
    handled(fixture, &consumer, Duration::ZERO).await;
    assert_eq!(note(fixture, &consumer, Some(SHORT)).await, None, "nothing is removed by itself");
    assert_eq!(cleaned(fixture, false).await, 1);
    for window in [Some(SHORT), Some(LONG), None] {
        let since = note(fixture, &consumer, window).await.expect("one was removed");
        assert!(
            since > ago(old),
            "{since} with {window:?}: a copy of what was removed would be applied again"
        );
        assert!(since < ago(SHORT), "{since} with {window:?}: what is remembered would be set aside");
    }
}

/// Each consumer has its own markers.
pub async fn removed_markers_are_reported_to_their_consumer_only<F: OperatorsFixture>(fixture: &F) {
    let (consumer, other) = (unique("consumer"), unique("consumer"));
    for consumer in [&consumer, &other] {
        note(fixture, consumer, Some(SHORT)).await;
    }
    handled(fixture, &consumer, SHORT * 2).await;
    handled(fixture, &other, Duration::ZERO).await;
    assert_eq!(cleaned(fixture, false).await, 1);
    assert!(note(fixture, &consumer, Some(SHORT)).await.is_some());
    assert_eq!(note(fixture, &other, Some(SHORT)).await, None);
}

/// The removal of a marker after a newer one does not move the time back.
pub async fn time_since_when_markers_are_complete_never_goes_back<F: OperatorsFixture>(fixture: &F) {
    let consumer = unique("consumer");
    note(fixture, &consumer, Some(SHORT)).await;
    handled(fixture, &consumer, SHORT + DAY * 4).await;
    assert_eq!(cleaned(fixture, false).await, 1);
    let since = note(fixture, &consumer, Some(SHORT)).await.expect("one was removed");
    handled(fixture, &consumer, SHORT * 20).await;
    assert_eq!(cleaned(fixture, false).await, 1);
    let after = note(fixture, &consumer, Some(SHORT)).await;
    assert!(after >= Some(since), "{after:?} after {since}");
}
