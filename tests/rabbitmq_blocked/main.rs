//! The adapter while RabbitMQ blocks publishers. It is a program of its own, because the alarm affects every publisher.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]
// The other tests of the adapter use more of these shared fixtures.
#![allow(dead_code)]

#[path = "../rabbitmq/broker.rs"]
mod broker;

use std::collections::BTreeSet;
use std::time::Duration;

use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit_testkit::transport::text;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::services;

use crate::broker::{join, message, queue, rabbit};

/// The alarm. A drop clears it.
struct Blocked;

impl Blocked {
    fn begin() -> Self {
        services::alarm(true);
        Self
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        services::alarm(false);
    }
}

#[test]
fn blocked_publishers_send_nothing_while_readers_go_on() {
    block_on(async {
        let queue = queue().await;
        let publisher = rabbit().confirm_deadline(Duration::from_secs(2)).publisher();
        let (mut taken, mut unsent) = (BTreeSet::new(), BTreeSet::new());
        let mut number = 0;
        let mut publish = async || {
            number += 1;
            let text = format!("m{number}");
            let answer = publisher.publish(&[message(&queue, Some("k"), &text)]).await.remove(0);
            match &answer {
                Ok(()) => drop(taken.insert(text)),
                Err(error) if error.refusal == PublishErrorKind::Unavailable => drop(unsent.insert(text)),
                Err(error) => assert_eq!(error.refusal, PublishErrorKind::Unknown, "{error:?}"),
            }
            answer
        };
        eventually("it publishes", DEADLINE, async || publish().await.is_ok()).await;
        assert!(!publisher.is_blocked());

        let blocked = Blocked::begin();
        // The broker announces the block after the first message that it does not accept.
        eventually("a publisher is stopped", DEADLINE, async || {
            publish().await.is_err_and(|error| error.error.to_string().contains("has stopped publishers"))
        })
        .await;
        assert!(publisher.is_blocked());
        let mut receiver = join(&rabbit(), &queue).await;
        // Readers are not blocked.
        let first = receiver.message().await;
        assert!(publish().await.is_err(), "nothing is taken meanwhile");

        drop(blocked);
        eventually("it publishes again", DEADLINE, async || publish().await.is_ok()).await;
        eventually("it is told", DEADLINE, async || !publisher.is_blocked()).await;
        let mut arrived = BTreeSet::from([text(&first)]);
        receiver.settle_receipts(vec![first.receipt]);
        while !taken.is_subset(&arrived) {
            let delivery = receiver.message().await;
            arrived.insert(text(&delivery));
            receiver.settle_receipts(vec![delivery.receipt]);
        }
        assert!(unsent.is_disjoint(&arrived), "{unsent:?} were not sent, and {arrived:?} are there");
    });
}
