//! Leases of failed messages.

use std::collections::BTreeSet;
use std::time::Duration;

use messagekit::adapter::Retries;
use messagekit::operations::FailedMessages;
use tokio::time::Instant;

use super::fixture::{of, only_failed_message, set_aside_now, until_through};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::{DEADLINE, eventually, unique};

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);

/// Only an operator can retry a dead message.
pub async fn failed_message_is_not_leased<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &dead("no")).await;
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
}

/// A failed message is not leased before the delay of its failure has passed.
pub async fn failed_message_is_not_leased_before_it_is_due<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &retry_in(LONG)).await;
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);

    let (soon, delay, began) = (received("orders.order", "{}"), Duration::from_millis(300), Instant::now());
    set_aside_now(&store, &consumer, &soon, &retry_in(delay)).await;
    let due = async || store.lease(&consumer, 10, LONG).await.is_ok_and(|leased| leased.len() == 1);
    eventually("the failed message is due", DEADLINE, due).await;
    assert!(began.elapsed() >= delay, "leased after {:?}", began.elapsed());
}

/// No other worker leases a leased failed message before its lease ends.
pub async fn due_failed_message_is_leased_once<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let message = received("orders.order", "{}");
    set_aside_now(&store, &consumer, &message, &retry_in(Duration::ZERO)).await;
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    assert_eq!(leased.iter().map(|leased| &leased.received.id).collect::<Vec<_>>(), [&message.id]);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
}

/// At most `max` are leased, in the order of their due times.
pub async fn oldest_due_is_leased_first<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let messages: Vec<_> = (0..3).map(|number| received("orders.order", &number.to_string())).collect();
    for (message, delay) in messages.iter().zip([1_000, 500, 0]) {
        set_aside_now(&store, &consumer, message, &retry_in(Duration::from_millis(delay))).await;
    }
    // On a slow machine the first message may be long due when the last one is set aside.
    let mut failed_messages = Vec::new();
    for id in store.ids(&of(&consumer), 10).await.expect("failed messages can be listed") {
        failed_messages.push(store.show(id).await.expect("the failed message can be shown"));
    }
    failed_messages.sort_by_key(|failed_message| failed_message.due);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let mut order = Vec::new();
    for max in [1, 2] {
        let leased = store.lease(&consumer, max, LONG).await.expect("leases are answered");
        assert_eq!(leased.len(), max as usize, "at most {max} and no fewer");
        order.extend(leased.into_iter().map(|leased| leased.received.id));
    }
    assert_eq!(
        order,
        failed_messages.into_iter().map(|failed_message| failed_message.received.id).collect::<Vec<_>>()
    );
}

/// A consumer leases its own failed messages.
pub async fn leases_are_for_one_consumer<F: FailedMessagesFixture>(fixture: &F) {
    let (store, first, second) = (fixture.store(), unique("consumer"), unique("consumer"));
    set_aside_now(&store, &first, &received("orders.order", "{}"), &retry_in(Duration::ZERO)).await;
    assert_eq!(store.lease(&second, 10, LONG).await.expect("leases are answered"), []);
    assert_eq!(store.lease(&first, 10, LONG).await.expect("leases are answered").len(), 1);
}

/// A lease holds the message as it was received, and the number of its run.
pub async fn leased_failed_message_is_whole<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let mut message = received("orders.order", "{\"name\":\"寿司\"}");
    message.message = message.message.with_key(vec![0xff, 0x00]).with_header("binary", vec![0xfe]);
    set_aside_now(&store, &consumer, &message, &retry_in(Duration::ZERO)).await;
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!(leased.received, message);
    assert_eq!(
        (leased.attempt, leased.crash_count),
        (2, 0),
        "the failure counted one attempt, this is the next"
    );
    assert_eq!(leased.failed_message, only_failed_message(&store, &consumer).await.id);
}

/// A worker that does not answer before its lease ends counts as crashed.
pub async fn expired_lease_counts_a_crash<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &retry_in(Duration::ZERO)).await;
    let first =
        store.lease(&consumer, 1, Duration::from_millis(200)).await.expect("leases are answered").remove(0);
    let mut second = Vec::new();
    let back = async || {
        second = store.lease(&consumer, 1, LONG).await.expect("leases are answered");
        !second.is_empty()
    };
    eventually("the lease ends", DEADLINE, back).await;
    assert_eq!((first.crash_count, second[0].crash_count), (0, 1));
    assert_eq!(second[0].failed_message, first.failed_message);
    assert_ne!(second[0].token, first.token, "the token fences the first holder");
    let failed_message = store.show(first.failed_message).await.expect("the failed message can be shown");
    assert_eq!(failed_message.crash_count, 1);
}

/// Workers that lease at the same time lease different failed messages.
pub async fn concurrent_leases_share_no_failed_message<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    for number in 0..12 {
        let message = received("orders.order", &number.to_string());
        set_aside_now(&store, &consumer, &message, &retry_in(Duration::ZERO)).await;
    }
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (store, consumer) = (fixture.store(), consumer.clone());
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let leased = until_through(|| store.lease(&consumer, 2, LONG)).await;
                    if leased.is_empty() {
                        return mine;
                    }
                    mine.extend(leased.into_iter().map(|leased| leased.failed_message));
                    assert!(mine.len() <= 12, "one worker leased {mine:?}");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.expect("a worker ends"));
    }
    let different: BTreeSet<i64> = all.iter().copied().collect();
    assert_eq!((all.len(), different.len()), (12, 12), "{all:?}");
}
