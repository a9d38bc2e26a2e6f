//! A broker that takes messages and says nothing any more.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::time::Duration;

use messagekit::{ErrorKind, Publisher, Source, Subscriber};
use messagekit_testkit::transport::{Receiver, text};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{depth, holds, message, named, numbered, queue};
use crate::proxy::Proxy;

/// How long confirms may stay out: longer than a busy machine takes to send one message.
const SILENCE: Duration = Duration::from_secs(15);

#[test]
fn a_confirm_that_stays_out_is_unknown_in_time_and_the_next_publish_has_a_new_connection() {
    block_on(async {
        let (proxy, queue) = (Proxy::start().await, queue().await);
        let publisher = proxy.rabbit().confirm_deadline(SILENCE).publisher();
        let publish = async |text: &str| {
            let batch = [message(&queue, Some("k"), text), message(&queue, Some("k"), "behind")];
            tokio::time::timeout(DEADLINE, publisher.publish(&batch)).await.expect("an answer in time")
        };
        eventually("it publishes", DEADLINE, async || publish("1").await.iter().all(Result::is_ok)).await;
        let (before, connections) = (depth(&queue).await, proxy.opened());
        proxy.silence();
        let asked = tokio::time::Instant::now();
        let results = publish("2").await;
        assert_eq!(named(&results), ["Unknown", "Behind"]);
        assert!(asked.elapsed() >= SILENCE, "it gave up after {:?}", asked.elapsed());
        let error = &results[0].as_ref().unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
        assert!(error.to_string().contains("did not confirm in time"), "{error}");
        assert!(!publisher.is_blocked(), "the broker has not said so");
        // It may be there, and here it is.
        eventually("it is there", DEADLINE, async || depth(&queue).await > before).await;
        // The old connection stays silent.
        eventually("it publishes again", DEADLINE, async || publish("3").await.iter().all(Result::is_ok))
            .await;
        assert!(proxy.opened() > connections, "a connection on which confirms stay out was used again");
    });
}

/// As a queue does that has no leader for a while.
#[test]
fn a_consumer_that_the_broker_begins_too_late_keeps_no_message() {
    block_on(async {
        let (queue, consumer) = (queue().await, unique("consumer"));
        numbered(&queue, 20).await;
        // basic.qos-ok: what comes next is that the consumer has begun.
        let proxy = Proxy::that_falls_silent_behind(&[0, 60, 0, 11, 0xce]).await;
        let source = proxy.rabbit().prefetch(5).topics([queue.clone()]);
        let mut subscriber = source.bind(&consumer, &[]).await.unwrap();
        let in_vain = async {
            let error = loop {
                if let Some(Err(error)) = poll_fn(|cx| subscriber.poll_next(cx)).await {
                    break error;
                }
            };
            assert!(error.to_string().contains("opened no consumer in time"), "{error}");
        };
        tokio::time::timeout(DEADLINE, in_vain).await.expect("it is not waited for without end");
        proxy.speak();
        let mut receiver = Receiver::new(subscriber, &consumer);
        let mut seen = BTreeSet::new();
        while seen.len() < 20 {
            let delivery = receiver.message_within(DEADLINE).await.expect("the next one comes");
            seen.insert(text(&delivery));
            receiver.settle_receipts(vec![delivery.receipt]);
        }
        receiver.close().await.unwrap();
        holds(&queue, 0).await;
    });
}
