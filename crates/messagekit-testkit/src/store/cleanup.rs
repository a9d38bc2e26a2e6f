//! Markers that leave with age, and what their consumer learns of it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messagekit::cleanup::{CleanupTarget, Retention, clean};
use messagekit::{Claim, Processed, ReceivedMessage};

use super::fixture::{claim_now, look, set_aside_now};
use super::{StoreFixture, dead, received};
use crate::unique;

const TOPIC: &str = "orders.order";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const SHORT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const LONG: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Goes through everything, and returns how many markers went, one by one or with the whole of their day.
pub(super) async fn cleaned<F: StoreFixture>(fixture: &F, is_trial: bool) -> u64 {
    let done = clean(&fixture.store(), &Retention::default(), is_trial, std::future::pending::<()>()).await;
    let done = done.expect("what is old can be removed");
    done.iter().filter(|done| done.what == CleanupTarget::Markers).map(|done| done.removed + done.days).sum()
}

/// Notes a window, and returns since when the markers are complete.
pub(super) async fn note<F: StoreFixture>(
    fixture: &F,
    consumer: &str,
    window: Option<Duration>,
) -> Option<Timestamp> {
    fixture.store().note_window(consumer, window).await.expect("windows are noted")
}

/// Has a message handled as long ago as said.
pub(super) async fn handled<F: StoreFixture>(fixture: &F, consumer: &str, ago: Duration) -> ReceivedMessage {
    let message = received(TOPIC, "{}");
    assert_eq!(claim_now(&fixture.store(), consumer, &message).await, Claim::Fresh);
    fixture.age(consumer, TOPIC, ago).await;
    message
}

/// Returns the time so long ago, by a clock that may differ a little from the database's.
fn ago(time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).expect("some days");
    Timestamp::now() - time
}

/// A marker goes when it is a day older than the longest window that was noted; never that of an open failed message, and none of
/// a consumer that accepts any age. Where whole days go at once, one that is kept may keep others for two days more.
pub async fn markers_leave_a_day_after_their_window<F: StoreFixture>(fixture: &F) {
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

/// What a trial counts is there afterwards, and complete.
pub async fn trial_removes_nothing_and_tells_of_nothing<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    note(fixture, &consumer, Some(SHORT)).await;
    let old = handled(fixture, &consumer, SHORT * 2).await;
    assert_eq!(cleaned(fixture, true).await, 1);
    assert_eq!(look(&store, &consumer, &old).await, Claim::Done);
    assert_eq!(note(fixture, &consumer, Some(LONG)).await, None);
}

/// A message whose marker was removed is older than the time that its consumer learns, whatever window that notes by then; what
/// the window accepted at the cleanup is not.
pub async fn consumer_learns_since_when_its_markers_are_complete<F: StoreFixture>(fixture: &F) {
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

/// Consumers have markers of their own.
pub async fn removed_markers_are_reported_to_their_consumer_only<F: StoreFixture>(fixture: &F) {
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

/// A marker that is removed after a newer one takes nothing back.
pub async fn time_since_when_markers_are_complete_never_goes_back<F: StoreFixture>(fixture: &F) {
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
