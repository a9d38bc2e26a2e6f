//! Queues with a single active consumer.

use std::sync::Arc;

use messagekit::adapter::Delivery;
use messagekit_rabbitmq::{Queue, RabbitMqSubscriber};
use messagekit_testkit::transport::{Receiver, texts};
use messagekit_testkit::{DEADLINE, block_on, unique};

use crate::broker::{QUIET, declare, join, numbered, rabbit};
use crate::proxy::Proxy;

/// Creates a queue with `messages` messages.
async fn single_active(messages: usize) -> Arc<str> {
    let name = unique("queue");
    declare(Queue::dead_letters(&name).single_active_consumer()).await;
    numbered(&name, messages).await;
    name.into()
}

/// Joins as a standby of the active member, and waits until the broker knows it.
async fn stand_by(queue: &Arc<str>) -> Receiver<RabbitMqSubscriber> {
    let mut second = join(&rabbit(), queue).await;
    while second.lanes().is_empty() {
        second.next_within(DEADLINE).await.expect("it joins");
    }
    assert!(second.take_while_busy(QUIET).await.is_empty(), "it does not stand by");
    second
}

fn settle(member: &mut Receiver<RabbitMqSubscriber>, deliveries: Vec<Delivery>) {
    member.settle_receipts(deliveries.into_iter().map(|delivery| delivery.receipt).collect());
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("m{number}")).collect()
}

#[test]
fn a_second_reader_stands_by_when_one_consumer_is_to_be_active() {
    block_on(async {
        let queue = single_active(5).await;
        let mut first = join(&rabbit(), &queue).await;
        let held = first.take(5).await;
        let mut second = stand_by(&queue).await;
        drop((held, first));
        assert_eq!(texts(&second.take(5).await), numbers(0..5));
    });
}

#[test]
fn leaving_member_hands_over_from_the_first_unsettled_message() {
    block_on(async {
        let queue = single_active(20).await;
        let mut first = join(&rabbit().prefetch(5), &queue).await;
        let mut held = first.take(5).await;
        let mut second = stand_by(&queue).await;
        first.settle_receipts(vec![held.remove(0).receipt]);
        first.close().await.unwrap();
        assert_eq!(texts(&second.take(19).await), numbers(1..20));
    });
}

/// A larger prefetch needs another consumer, and another member could become active when the earlier consumer ends.
#[test]
fn a_member_that_reads_further_ahead_again_is_not_overtaken() {
    block_on(async {
        for rounds in 0..3 {
            let (queue, proxy) = (single_active(30).await, Proxy::start().await);
            let mut first = join(&proxy.rabbit().prefetch(8), &queue).await;
            drop(first.take(8).await);
            proxy.cut();
            for round in 0..rounds {
                let taken = first.take(1 << round).await;
                settle(&mut first, taken);
            }
            let mut held = first.take(1 << rounds).await;
            let mut second = stand_by(&queue).await;
            let mut passed = Vec::new();
            while passed.is_empty() {
                // The last one first: a settle never acknowledges multiple messages.
                let last = held.pop().into_iter().collect();
                settle(&mut first, last);
                held.extend(first.take_while_busy(QUIET).await);
                passed = second.take_while_busy(QUIET).await;
            }
            assert!(held.is_empty(), "of both {:?} and {:?}", texts(&held), texts(&passed));
            let expected = numbers((1 << (rounds + 1)) - 1..30);
            passed.extend(second.take(expected.len().saturating_sub(passed.len())).await);
            assert_eq!(texts(&passed), expected);
        }
    });
}
