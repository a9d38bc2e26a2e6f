//! A machine whose clock the broker does not accept.

use std::time::Duration;

use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit::{Message, chain};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use crate::broker::{ADMIN, admin, join, kafka, topic};

/// The topic setting for the largest age of a record's timestamp. A record takes some time from the client to the broker, so with
/// the smallest value none is young enough.
const OLDEST: &str = "message.timestamp.before.max.ms";

fn text(number: usize) -> String {
    format!("m{number}")
}

/// A permanent refusal would set aside every event of a machine, one by one, until an operator corrects its clock.
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

        // As if an operator had corrected the clock.
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
