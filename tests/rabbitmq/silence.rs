//! A broker that accepts messages and stops answering.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::adapter::{Incoming, Publisher, Source, Subscriber};
use messagekit_rabbitmq::Queue;
use messagekit_testkit::transport::{Receiver, text};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{declare, delete_queue, depth, holds, join, message, named, numbered, publish, queue};
use crate::proxy::Proxy;

/// The time that a queue has to open before it is given up for a while.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// The time that confirms may take: longer than a busy machine takes to send one message.
const SILENCE: Duration = Duration::from_secs(15);

#[test]
fn a_missing_confirm_is_unknown_in_time_and_then_reconnects() {
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
        assert_eq!(named(&results), ["Unknown", "KeyBlocked"]);
        assert!(asked.elapsed() >= SILENCE, "it gave up after {:?}", asked.elapsed());
        let error = &results[0].as_ref().unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
        assert!(error.to_string().contains("did not confirm in time"), "{error}");
        assert!(!publisher.is_blocked(), "the broker has not said so");
        // The message may be in the queue, and here it is.
        eventually("it is there", DEADLINE, async || depth(&queue).await > before).await;
        // The old connection stays silent.
        eventually("it publishes again", DEADLINE, async || publish("3").await.iter().all(Result::is_ok))
            .await;
        assert!(proxy.opened() > connections, "a connection on which confirms stay out was used again");
    });
}

/// Like a queue without a leader for a while.
#[test]
fn a_consumer_that_the_broker_begins_too_late_keeps_no_message() {
    block_on(async {
        let (queue, consumer) = (queue().await, unique("consumer"));
        numbered(&queue, 20).await;
        // basic.qos-ok: the next frame says that the consumer has begun.
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

/// Like queues without a leader: no request to them is answered.
#[test]
fn queues_that_do_not_answer_hold_up_no_other_one_and_no_close() {
    async fn held_up() -> Duration {
        let (first, second, good, consumer) =
            (queue().await, queue().await, queue().await, unique("consumer"));
        numbered(&good, 20).await;
        let proxy = Proxy::that_swallows(&[first.as_bytes(), second.as_bytes()]).await;
        let source = proxy.rabbit().prefetch(5).topics([first.clone(), second.clone(), good.clone()]);
        let mut subscriber = source.bind(&consumer, &[]).await.unwrap();
        let (mut handled, begin) = (0, tokio::time::Instant::now());
        while handled < 20 {
            let next = tokio::time::timeout(DEADLINE, poll_fn(|cx| subscriber.poll_next(cx))).await;
            let next = next.expect("the next one comes").expect("it goes on");
            match next {
                Ok(Incoming::Message(delivery)) => {
                    subscriber.settle(&mut vec![delivery.receipt]);
                    handled += 1;
                }
                Ok(news) => assert!(matches!(news, Incoming::Assigned { .. }), "{news:?}"),
                // A silent queue is given up: the machine is slow.
                Err(error) => assert!(error.is_transient() && begin.elapsed() >= GIVEN_UP / 2, "{error}"),
            }
        }
        poll_fn(|cx| subscriber.poll_close(cx)).await.unwrap();
        let took = begin.elapsed();
        holds(&good, 0).await;
        took
    }

    block_on(in_time(held_up));
}

/// Repeats a step that a busy machine may stop for some seconds until it has not waited for what is silent.
async fn in_time(mut step: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    for _ in 0..5 {
        let time = step().await;
        if time < GIVEN_UP {
            return;
        }
        took.push(time);
    }
    panic!("each time it waited: {took:?}");
}

/// A reader is replaced when the prefetch of its queue grows again.
#[test]
fn unreplaced_reader_delays_no_other_queue_and_loses_no_ack() {
    async fn held_up() -> Duration {
        let (first, second, consumer) = (queue().await, queue().await, unique("consumer"));
        numbered(&first, 20).await;
        // basic.cancel with the tag of the first reader on a channel.
        let proxy = Proxy::that_swallows(&[b".0\0\xce"]).await;
        let source = proxy.rabbit().prefetch(5).topics([first.clone(), second.clone()]);
        let mut receiver = Receiver::new(source.bind(&consumer, &[]).await.unwrap(), &consumer);
        drop(receiver.take(5).await);
        proxy.cut();
        let head = receiver.message().await;
        assert_eq!(text(&head), "m0");
        let begin = tokio::time::Instant::now();
        receiver.settle_receipts(vec![head.receipt]);
        numbered(&second, 1).await;
        // The reader that still exists may have the next message of the first queue.
        while receiver.message().await.message.topic != second {}
        receiver.close().await.unwrap();
        let took = begin.elapsed();
        holds(&first, 19).await;
        took
    }

    block_on(in_time(held_up));
}

#[test]
fn a_queue_deleted_while_its_reader_changes_is_read_once_back() {
    block_on(async {
        let queue = queue().await;
        numbered(&queue, 20).await;
        // basic.consume with the tag of a second reader on a channel.
        let proxy = Proxy::that_swallows(&[b".1\0\0\0\0\0"]).await;
        let mut receiver = join(&proxy.rabbit().prefetch(5), &queue).await;
        drop(receiver.take(5).await);
        proxy.cut();
        let head = receiver.message().await;
        receiver.settle_receipts(vec![head.receipt]);
        eventually("the acknowledgement is there", DEADLINE, async || depth(&queue).await == 19).await;
        delete_queue(&queue).await;
        declare(Queue::dead_letters(&*queue)).await;
        publish(&[message(&queue, None, "again")]).await;
        let again = receiver.message().await;
        assert_eq!(text(&again), "again");
        receiver.settle_receipts(vec![again.receipt]);
        receiver.close().await.unwrap();
        holds(&queue, 0).await;
    });
}
