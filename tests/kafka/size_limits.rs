//! Topics with a limit of size of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::Message;
use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit_kafka::KafkaPublisher;
use messagekit_testkit::{block_on, unique};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use crate::broker::{self, ADMIN, admin, join, kafka};

const LIMIT: (&str, &str) = ("max.message.bytes", "20000");

/// Returns text that compression does not make small.
fn random(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    std::iter::repeat_with(|| random.u8(b' '..b'~')).take(bytes).collect()
}

fn message(topic: &Arc<str>, key: &str, payload: Vec<u8>) -> Message {
    let mut message = Message::new(topic.clone(), "").with_key(key.to_owned());
    message.payload = payload.into();
    message
}

async fn refusals(publisher: &KafkaPublisher, batch: &[Message]) -> Vec<Option<PublishErrorKind>> {
    let results = publisher.publish(batch).await;
    results.into_iter().map(|result| result.err().map(|error| error.refusal)).collect()
}

/// Publishes to `calm` until `large` messages were refused by their topic; both use one publisher.
async fn publish_beside_refusals(publisher: &KafkaPublisher, narrow: &Arc<str>, calm: &Arc<str>) -> usize {
    let is_over = AtomicBool::new(false);
    let refuse = async {
        for _ in 0..20 {
            let large = [message(narrow, "k", random(60_000))];
            assert_eq!(refusals(publisher, &large).await, [Some(PublishErrorKind::Rejected)]);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let publish = async {
        let mut published = 0;
        while !is_over.load(Ordering::Relaxed) {
            let batch: Vec<Message> =
                (0..20).map(|key| message(calm, &format!("k{key}"), random(100))).collect();
            for refusal in refusals(publisher, &batch).await {
                assert_eq!(refusal, None, "after {published} messages");
                published += 1;
            }
        }
        published
    };
    tokio::join!(refuse, publish).1
}

#[test]
fn messages_too_large_for_their_topic_cost_others_nothing() {
    block_on(async {
        let (narrow, calm) = (broker::topic(1, &[LIMIT]).await, broker::topic(4, &[]).await);
        let publisher = kafka().publisher().unwrap();
        let published = publish_beside_refusals(&publisher, &narrow, &calm).await;
        assert!(published > 0);
        assert_eq!(
            refusals(&publisher, &[message(&narrow, "k", random(100))]).await,
            [None],
            "the topic goes on"
        );
    });
}

#[test]
fn a_lowered_limit_is_learned_from_one_refusal() {
    block_on(async {
        let (narrow, calm) = (broker::topic(1, &[]).await, broker::topic(4, &[]).await);
        let publisher = kafka().publisher().unwrap();
        let large = [message(&narrow, "k", random(60_000))];
        assert_eq!(refusals(&publisher, &large).await, [None], "it fits");
        let change = AlterConfig::new(ResourceSpecifier::Topic(&narrow)).set(LIMIT.0, LIMIT.1);
        let options = AdminOptions::new().operation_timeout(Some(ADMIN));
        admin().alter_configs([&change], &options).await.unwrap()[0].as_ref().unwrap();
        let learned = async { while refusals(&publisher, &large).await == [None] {} };
        // The broker applies a change of its settings when it reads the log of changes.
        tokio::time::timeout(ADMIN, learned).await.expect("the broker has the new limit");
        assert!(publish_beside_refusals(&publisher, &narrow, &calm).await > 0);
    });
}

#[test]
fn a_message_that_fits_when_compressed_is_published() {
    block_on(async {
        let topic = broker::topic(1, &[LIMIT]).await;
        let publisher = kafka().publisher().unwrap();
        let batch = [
            message(&topic, "k", b"first".to_vec()),
            message(&topic, "k", vec![b'x'; 60_000]),
            message(&topic, "k", b"third".to_vec()),
        ];
        assert_eq!(refusals(&publisher, &batch).await, [None, None, None]);
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        let sizes: Vec<usize> =
            receiver.take(3).await.iter().map(|delivery| delivery.message.payload.len()).collect();
        assert_eq!(sizes, [5, 60_000, 5], "in order");
    });
}

#[test]
fn many_small_messages_fit_a_topic_with_a_small_limit() {
    block_on(async {
        let topic = broker::topic(2, &[LIMIT]).await;
        let publisher = kafka().publisher().unwrap();
        let batch: Vec<Message> =
            (0..500).map(|number| message(&topic, &format!("k{}", number % 7), random(1_000))).collect();
        assert!(refusals(&publisher, &batch).await.iter().all(Option::is_none));
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        receiver.take(500).await;
        assert!(receiver.message_within(Duration::from_secs(1)).await.is_err(), "a record came twice");
    });
}
