//! Messages that the broker accepts or refuses.

use std::time::{Duration, Instant};

use messagekit::Message;
use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit_kafka::Kafka;
use messagekit_testkit::transport::texts;
use messagekit_testkit::{DEADLINE, block_on, unique};

use crate::broker::{self, join, kafka};

/// Returns a payload that is too large for its topic, which the client cannot know.
fn large() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    std::iter::repeat_with(|| random.u8(b' '..b'~')).take(60_000).collect()
}

#[test]
fn rejected_record_blocks_its_key_and_the_rest_is_sent_once() {
    block_on(async {
        let topic = broker::topic(4, &[("max.message.bytes", "20000")]).await;
        let mut batch: Vec<Message> = (0..30)
            .map(|number| {
                Message::new(topic.clone(), format!("m{number}")).with_key(["a", "b", "c"][number % 3])
            })
            .collect();
        batch[15].payload = large().into();
        let publisher = kafka().publisher().unwrap();
        let results = publisher.publish(&batch).await;
        let refusals: Vec<Option<PublishErrorKind>> =
            results.iter().map(|result| result.as_ref().err().map(|error| error.refusal)).collect();
        assert_eq!(refusals[15], Some(PublishErrorKind::Rejected), "{results:?}");
        let others =
            refusals.iter().enumerate().filter(|(_, refusal)| **refusal == Some(PublishErrorKind::Rejected));
        assert_eq!(others.count(), 1, "only the large record is to blame: {results:?}");
        for key in 0..3 {
            let oks: Vec<bool> = refusals.iter().skip(key).step_by(3).map(Option::is_none).collect();
            assert!(oks.is_sorted_by(|earlier, later| earlier >= later), "key {key}: {oks:?}");
        }
        assert!(
            (18..30).step_by(3).all(|behind| refusals[behind] == Some(PublishErrorKind::KeyBlocked)),
            "{results:?}"
        );

        // The same publisher continues, and every message without an `Ok` is published once and in order.
        let again: Vec<Message> = (0..30)
            .filter(|index| *index != 15 && refusals[*index].is_some())
            .map(|index| batch[index].clone())
            .collect();
        publisher.publish(&again).await.into_iter().for_each(|result| result.unwrap());
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        let came = texts(&receiver.take(29).await);
        for key in 0..3 {
            let numbers: Vec<usize> = came.iter().map(|text| text[1..].parse().unwrap()).collect();
            let of_key: Vec<usize> = numbers.into_iter().filter(|number| number % 3 == key).collect();
            let expected: Vec<usize> = (0..30).filter(|number| number % 3 == key && *number != 15).collect();
            assert_eq!(of_key, expected, "key {key}");
        }
        assert!(receiver.message_within(Duration::from_secs(1)).await.is_err(), "a record came twice");
    });
}

/// The broker has no state of a client whose first record it refuses, and would accept the next one with any sequence number.
#[test]
fn nothing_behind_a_refused_first_record_is_published() {
    block_on(async {
        let topic = broker::topic(1, &[("max.message.bytes", "20000")]).await;
        let message = |text: &str| Message::new(topic.clone(), text.to_owned()).with_key("k");
        let mut batch: Vec<Message> = (0..20).map(|number| message(&format!("m{number}"))).collect();
        batch[0].payload = large().into();
        let publisher = kafka().publisher().unwrap();
        let results = publisher.publish(&batch).await;
        let refusals: Vec<_> =
            results.into_iter().map(|result| result.err().map(|error| error.refusal)).collect();
        assert_eq!(refusals[0], Some(PublishErrorKind::Rejected));
        assert!(
            refusals[1..].iter().all(|refusal| *refusal == Some(PublishErrorKind::KeyBlocked)),
            "{refusals:?}"
        );

        publisher.publish(&[message("the next")]).await.into_iter().for_each(|result| result.unwrap());
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        assert_eq!(texts(&receiver.take(1).await), ["the next"]);
    });
}

#[test]
fn small_records_in_a_large_request_are_not_refused() {
    block_on(async {
        let topic = broker::topic(1, &[("max.message.bytes", "20000")]).await;
        let body = large();
        let batch: Vec<Message> =
            body.chunks(600).map(|part| Message::new(topic.clone(), part.to_vec())).collect();
        let results = kafka().publisher().unwrap().publish(&batch).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    });
}

#[test]
fn a_broker_that_is_away_is_unavailable_within_the_deadline() {
    block_on(async {
        let kafka = Kafka::new("127.0.0.1:1").set("delivery.timeout.ms", "1000").unwrap();
        let publisher = kafka.publisher().unwrap();
        let begin = Instant::now();
        let batch: Vec<Message> =
            (0..3).map(|number| Message::new("orders", format!("m{number}")).with_key("k")).collect();
        let results = publisher.publish(&batch).await;
        let refusals: Vec<PublishErrorKind> =
            results.into_iter().map(|result| result.expect_err("nobody took it").refusal).collect();
        assert_eq!(
            refusals,
            [PublishErrorKind::Unavailable, PublishErrorKind::KeyBlocked, PublishErrorKind::KeyBlocked]
        );
        assert!(begin.elapsed() < DEADLINE / 3, "it took {:?}", begin.elapsed());
    });
}

#[test]
fn many_publishes_at_once_share_a_client() {
    block_on(async {
        let topic = broker::topic(4, &[]).await;
        let publisher = kafka().publisher().unwrap();
        let all = (0..20).map(|task| {
            let (publisher, topic) = (publisher.clone(), topic.clone());
            tokio::spawn(async move {
                let batch: Vec<Message> = (0..50)
                    .map(|number| {
                        Message::new(topic.clone(), format!("{task}-{number}")).with_key(format!("k{task}"))
                    })
                    .collect();
                publisher.publish(&batch).await.into_iter().for_each(|result| result.unwrap());
            })
        });
        for task in all.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        assert_eq!(receiver.take_distinct(1_000).await.len(), 1_000);
    });
}

#[test]
fn records_beside_a_rejected_one_are_confirmed_before_deadline() {
    block_on(async {
        let topic = broker::topic(2, &[("max.message.bytes", "20000")]).await;
        let long = kafka().set("delivery.timeout.ms", "600000").unwrap().set("batch.size", "5000").unwrap();
        let publisher = long.publisher().unwrap();
        let calls = (0..8).map(|call| {
            let (publisher, topic) = (publisher.clone(), topic.clone());
            tokio::spawn(async move {
                let mut batch: Vec<Message> = (0..100)
                    .map(|number| {
                        Message::new(topic.clone(), "x".repeat(500))
                            .with_key(format!("{call}-{}", number % 20))
                    })
                    .collect();
                if call == 0 {
                    batch[50].payload = large().into();
                }
                publisher.publish(&batch).await
            })
        });
        let mut rejected = 0;
        for call in calls.collect::<Vec<_>>() {
            let results = tokio::time::timeout(DEADLINE, call).await.expect("it is answered").unwrap();
            let refusals = results.iter().filter_map(|result| result.as_ref().err());
            rejected += refusals.filter(|error| error.refusal == PublishErrorKind::Rejected).count();
        }
        assert_eq!(rejected, 1);
    });
}
