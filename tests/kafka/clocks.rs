//! A machine whose clock the broker does not believe.

use std::time::Duration;

use messagekit::{Message, PublishErrorKind, Publisher, chain};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use crate::broker::{ADMIN, admin, join, kafka, topic};

/// Of a topic: how old a record may say that it is. Each takes a while from the client to the broker, so none is as young as the
/// broker's own time wants it.
const OLDEST: &str = "message.timestamp.before.max.ms";

fn text(number: usize) -> String {
    format!("m{number}")
}

/// Whoever sets it aside for good gives up, one by one, every event that a machine publishes until somebody sets its clock.
#[test]
fn timestamp_refused_by_the_broker_is_an_outage_not_a_rejection() {
    block_on(async {
        let topic = topic(1, &[(OLDEST, "0")]).await;
        let publisher = kafka().publisher().unwrap();
        let batch: Vec<Message> =
            (0..3).map(|number| Message::new(topic.clone(), text(number)).with_key("k")).collect();
        let results = publisher.publish(&batch).await;
        let refusals: Vec<PublishErrorKind> =
            results.iter().map(|result| result.as_ref().expect_err("it is refused").refusal).collect();
        assert_eq!(
            refusals,
            [PublishErrorKind::Unavailable, PublishErrorKind::KeyBlocked, PublishErrorKind::KeyBlocked],
            "{results:?}"
        );
        let error = results[0].as_ref().unwrap_err();
        assert!(chain(error).to_string().contains("set its clock"), "{error:?}");

        // As if somebody had set the clock.
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set(OLDEST, "3600000");
        let options = AdminOptions::new().operation_timeout(Some(ADMIN));
        admin().alter_configs([&change], &options).await.unwrap()[0].as_ref().unwrap();
        let mut left = batch;
        eventually("everything is taken", DEADLINE, async || {
            let results = publisher.publish(&left).await;
            let taken = results.iter().take_while(|result| result.is_ok()).count();
            left.drain(..taken);
            left.is_empty()
        })
        .await;
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        let came: Vec<_> = receiver.take(3).await;
        let came: Vec<_> = came.iter().map(|delivery| delivery.message.payload.clone()).collect();
        assert_eq!(came, (0..3).map(text).collect::<Vec<_>>());
        assert!(receiver.message_within(Duration::from_secs(1)).await.is_err(), "a record came twice");
    });
}
