//! The prefetch of queues after a connection has ended without a reason.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Delivery, Source};
use messagekit_rabbitmq::RabbitMqSubscriber;
use messagekit_testkit::transport::{Receiver, text};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{
    QUIET, close_connections, depth, holds, join, message, numbered, publish, queue, rabbit,
};
use crate::proxy::Proxy;

/// Longer than any pause.
const PATIENCE: Duration = Duration::from_secs(300);

fn settle(receiver: &mut Receiver<RabbitMqSubscriber>, deliveries: Vec<Delivery>) {
    receiver.settle_receipts(deliveries.into_iter().map(|delivery| delivery.receipt).collect());
}

/// Creates a queue of 40 messages, and a member that has lost the connection over which it had 6 of them.
async fn cut_off() -> (Arc<str>, Proxy, Receiver<RabbitMqSubscriber>) {
    let (queue, proxy) = (queue().await, Proxy::start().await);
    numbered(&queue, 40).await;
    let mut receiver = join(&proxy.rabbit().prefetch(6), &queue).await;
    drop(receiver.take(6).await);
    proxy.cut();
    (queue, proxy, receiver)
}

#[test]
fn one_message_is_here_then_two_then_four_up_to_the_prefetch() {
    block_on(async {
        let (queue, _proxy, mut receiver) = cut_off().await;
        for prefetch in [1, 2, 4, 6, 6] {
            let taken = receiver.take(prefetch).await;
            assert!(receiver.take_while_busy(QUIET).await.is_empty(), "more than {prefetch} came");
            settle(&mut receiver, taken);
        }
        receiver.close().await.unwrap();
        holds(&queue, 40 - 19).await;
    });
}

/// The broker announces that it closes the connection: no message is the cause.
#[test]
fn what_an_operator_ends_is_read_as_far_ahead_as_before() {
    block_on(async {
        let (queue, consumer) = (queue().await, unique("consumer"));
        numbered(&queue, 40).await;
        let source = rabbit().prefetch(6).queue(queue.clone());
        let mut receiver = Receiver::new(source.bind(&consumer, &[]).await.unwrap(), &consumer);
        drop(receiver.take(6).await);
        close_connections(&format!("messagekit consumer {consumer}")).await;
        let taken = receiver.take(6).await;
        settle(&mut receiver, taken);
        receiver.close().await.unwrap();
        holds(&queue, 40 - 6).await;
    });
}

#[test]
fn what_is_settled_counts_when_the_member_leaves_in_the_middle() {
    block_on(async {
        let (queue, _proxy, mut receiver) = cut_off().await;
        let first = receiver.take(1).await;
        settle(&mut receiver, first);
        let mut two = receiver.take(2).await;
        let second = two.split_off(1);
        settle(&mut receiver, second);
        receiver.close().await.unwrap();
        holds(&queue, 38).await;
    });
}

#[test]
fn queue_that_breaks_connections_does_not_stop_other_queues() {
    block_on(async {
        let (bad, good) = (queue().await, queue().await);
        publish(&[message(&bad, None, "connections end here")]).await;
        numbered(&good, 1_000).await;
        let proxy = Proxy::that_breaks_at(b"connections end here").await;
        let consumer = unique("consumer");
        let source = proxy.rabbit().prefetch(100).topics([bad.clone(), good.clone()]);
        let mut receiver = Receiver::new(source.bind(&consumer, &[]).await.unwrap(), &consumer);
        let mut seen = BTreeSet::new();
        while seen.len() < 1_000 {
            let delivery = receiver.message_within(PATIENCE).await.expect("the next good one comes");
            seen.insert(text(&delivery));
            receiver.settle_receipts(vec![delivery.receipt]);
        }
        assert!(proxy.opened() < 20, "{} connections", proxy.opened());
        // A connection that ends now loses the last acknowledgements: those messages are delivered again, as late as the broker
        // sees its end.
        let _ = receiver.close().await;
        eventually("the good queue is empty", DEADLINE, async || {
            let mut healthy = join(&rabbit(), &good).await;
            while let Ok(delivery) = healthy.message_within(QUIET).await {
                assert!(!seen.insert(text(&delivery)), "{delivery:?}");
                settle(&mut healthy, vec![delivery]);
            }
            healthy.close().await.unwrap();
            depth(&good).await == 0
        })
        .await;
        holds(&bad, 1).await;
    });
}
