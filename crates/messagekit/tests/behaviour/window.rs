//! A message older than the dedup window is not handled, because it may have been handled before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{BoxFuture, Capabilities, NextOffset, RetentionProbe, Source, TopicRetention};
use messagekit::cleanup::{Retention, clean};
use messagekit::operations::FailedMessageState;
use messagekit::{Consumer, Error, ErrorKind, Message, NoStore, OnFailure, Shutdown, headers};
use messagekit_memory::MemoryTx;

use crate::fixture::{CONSUMER, World, placed, seconds, start, until};

const WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Returns the event `key-n` with this age.
fn written(key: &str, n: i64, ago: Duration) -> Message {
    let at = Timestamp::now() - jiff::SignedDuration::try_from(ago).expect("not that long");
    placed(key, n).with_header(headers::CREATED_AT, at.to_string())
}

#[tokio::test(start_paused = true)]
async fn message_older_than_dedup_window_is_dead_under_every_policy() {
    for policy in [OnFailure::ParkKey, OnFailure::DeadLetter, OnFailure::Block] {
        let world = World::new(1);
        world.publish(written("a", 1, WINDOW - seconds(3_600))).await;
        world.publish(written("a", 2, WINDOW + seconds(3_600))).await;
        world.publish(placed("a", 3)).await;
        let consumer = start(world.billing().dedup_window(WINDOW).on_failure(policy));
        until(|| world.committed(0) == 3).await;
        assert_eq!(world.applied(), ["a-1", "a-3"], "{policy:?}: the order of its key is not held up");
        assert_eq!(world.script.runs_of("a-2"), [], "{policy:?}");
        let failed_message = world.failed_message("a-2").await;
        assert_eq!(
            (&*failed_message.kind, failed_message.state),
            ("outside_window", FailedMessageState::Dead),
            "{policy:?}"
        );
        assert!(failed_message.error.contains("longer ago than the window"), "{}", failed_message.error);

        // An operator who knows that it was never applied can retry it; the window does not apply then.
        world.retry(failed_message.id).await.expect("it is dead");
        until(|| world.applied().len() == 3).await;
        assert_eq!(world.failed_message("a-2").await.state, FailedMessageState::Resolved, "{policy:?}");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_copy_with_a_marker_is_a_duplicate_and_does_not_fail() {
    let world = World::new(1);
    let old = written("a", 1, WINDOW + seconds(3_600));
    world.publish(old.clone()).await;
    let consumer = start(world.billing());
    until(|| world.applied().len() == 1).await;
    consumer.stop().await;
    world.publish(old).await;
    let consumer = start(world.billing().dedup_window(WINDOW));
    until(|| world.committed(0) == 2).await;
    assert_eq!((world.applied().len(), world.failed_messages_now()), (1, 0));
    assert_eq!(consumer.stop().await.duplicates, 1);
}

/// A longer or removed window does not restore markers.
#[tokio::test(start_paused = true)]
async fn duplicate_of_removed_marker_fails_under_longer_dedup_window() {
    let days = |days: u64| seconds(days * 24 * 60 * 60);
    for longer in [Some(WINDOW * 2), None] {
        let world = World::new(1);
        let billing = |window: Option<Duration>| match window {
            Some(window) => world.billing().dedup_window(window),
            None => world.billing(),
        };
        world.publish(written("a", 1, Duration::ZERO)).await;
        let consumer = start(billing(Some(WINDOW)));
        until(|| world.applied().len() == 1).await;
        consumer.stop().await;
        world.store.pretend_older(CONSUMER, "orders.order", WINDOW + days(5));
        world.publish(written("a", 2, days(1))).await;
        let consumer = start(billing(Some(WINDOW)));
        until(|| world.applied().len() == 2).await;
        consumer.stop().await;
        let done = clean(&world.store, &Retention::default(), false, std::future::pending::<()>()).await;
        assert_eq!(done.expect("cleans").iter().map(|done| done.removed).sum::<u64>(), 1);

        // Redeliver the same messages, and add one that is older and was never applied.
        world.publish(written("a", 1, WINDOW + days(5))).await;
        world.publish(written("a", 2, days(1))).await;
        world.publish(written("b", 3, WINDOW)).await;
        let consumer = start(billing(longer));
        until(|| world.committed(0) == 5).await;
        assert_eq!(world.applied(), ["a-1", "a-2", "b-3"], "{longer:?}: once each");
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(&*failed_message.kind, "outside_window", "{longer:?}");
        assert!(failed_message.error.contains("complete only since"), "{}", failed_message.error);
        assert_eq!((world.failed_messages_now(), consumer.stop().await.duplicates), (1, 1), "{longer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dedup_window_without_a_store_or_under_an_hour_is_refused() {
    let world = World::new(1);
    let print = async |_: &mut (), _: Message| Ok(());
    let refused = Consumer::builder(CONSUMER, NoStore::new(world.log.clone(), "dead"))
        .from(world.topics())
        .on_message("orders.order.placed", print)
        .dedup_window(WINDOW)
        .build()
        .expect_err("nothing remembers");
    assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
    let refused = world.billing().dedup_window(seconds(3_599)).build().expect_err("too short");
    assert!(refused.to_string().contains("shorter than an hour"), "{refused}");
}

/// Topics with a known retention.
struct Keeping<Src> {
    source: Src,
    kept: Arc<Mutex<Result<Vec<TopicRetention>, Error>>>,
}

/// The answer of a broker about its retention.
struct Answer(Arc<Mutex<Result<Vec<TopicRetention>, Error>>>);

impl RetentionProbe for Answer {
    fn retention(&self) -> BoxFuture<'_, Result<Vec<TopicRetention>, Error>> {
        let kept = self.0.lock().expect("no panic").clone();
        Box::pin(async { kept })
    }
}

impl<Src: Source> Source for Keeping<Src> {
    type Subscriber = Src::Subscriber;

    fn capabilities(&self) -> Capabilities {
        self.source.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.source.topics()
    }

    fn retention(&self) -> Option<Arc<dyn RetentionProbe>> {
        Some(Arc::new(Answer(Arc::clone(&self.kept))))
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Src::Subscriber, Error> {
        self.source.bind(consumer, remembered).await
    }
}

fn kept(topic: &str, time: Option<Duration>) -> TopicRetention {
    TopicRetention { topic: topic.into(), time }
}

/// The retention is checked every hour.
const LOOK: Duration = Duration::from_secs(61 * 60);

#[tokio::test(start_paused = true)]
async fn dedup_window_is_compared_with_retention_at_start_and_hourly() {
    let world = World::new(1);
    let retention = Arc::new(Mutex::new(Ok(vec![kept("a", Some(WINDOW)), kept("b", Some(seconds(60)))])));
    let source = Keeping { source: world.topics(), kept: Arc::clone(&retention) };
    let print = async |_: &mut MemoryTx, _: Message| Ok(());
    let consumer = Consumer::builder(CONSUMER, world.store.clone())
        .from(source)
        .on_message("orders.order.placed", print)
        .dedup_window(WINDOW)
        .build()
        .expect("complete");
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    let reports = |words: &'static str| {
        let stats = stats.clone();
        async move {
            tokio::time::sleep(LOOK).await;
            let short = stats.outside_window().join("; ");
            assert!(short.contains(words) && short.is_empty() == words.is_empty(), "{words:?} in {short:?}");
        }
    };
    reports("").await;
    let set = |answer| *retention.lock().expect("no panic") = answer;
    set(Ok(vec![kept("a", Some(seconds(60))), kept("b", Some(WINDOW + seconds(1)))]));
    reports("shorter than topic b keeps records (for 30 days)").await;
    set(Ok(vec![kept("a", None), kept("b", Some(WINDOW * 2))]));
    reports("shorter than topic a keeps records (for ever)").await;
    // An unknown retention reports no problem and stops nothing.
    set(Err(Error::new(ErrorKind::Unavailable, "away")));
    reports("").await;
    world.publish(placed("a", 1)).await;
    until(|| stats.read().handled == 1).await;
    shutdown.request();
    running.await.expect("no panic").expect("no error");
}
