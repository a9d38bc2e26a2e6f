//! Publishing through a broker that disappears and returns.

use std::time::Duration;

use messagekit::Message;
use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit_testkit::block_on;

use crate::mock::Mock;

/// The end of one call purges the whole client: messages that another call hands over later must not pass its earlier
/// ones.
#[test]
fn no_message_passes_an_earlier_one_that_another_call_withdrew() {
    /// Much longer than the delay between the two calls, even on a stalled machine.
    const LIMIT: Duration = Duration::from_secs(10);
    block_on(async {
        let mock = Mock::start();
        mock.create_topic("orders", 1);
        let settings = [
            ("delivery.timeout.ms", "10000"),
            ("queue.buffering.max.messages", "2"),
            ("reconnect.backoff.max.ms", "100"),
        ];
        let kafka =
            settings.into_iter().fold(mock.kafka(), |kafka, (key, value)| kafka.set(key, value).unwrap());
        let publisher = kafka.publisher().unwrap();
        let message = |key, text| Message::new("orders", text).with_key(key);
        publisher.publish(&[message("a", "a0")]).await.pop().unwrap().unwrap();
        mock.call(|cluster| cluster.broker_down(1)).unwrap();

        let first = async {
            let results = publisher.publish(&[message("a", "a1")]).await;
            mock.call(|cluster| cluster.broker_up(1)).unwrap();
            results
        };
        let second = async {
            // It ends as much later as it begins; a reordering would happen within that time.
            tokio::time::sleep(LIMIT / 10).await;
            publisher.publish(&[message("b", "b1"), message("b", "b2")]).await
        };
        let (first, second) = tokio::join!(first, second);
        let refusals: Vec<PublishErrorKind> = first
            .into_iter()
            .chain(second)
            .map(|result| result.expect_err("the broker was away").refusal)
            .collect();
        assert_eq!(
            refusals,
            [PublishErrorKind::Unavailable, PublishErrorKind::Unavailable, PublishErrorKind::KeyBlocked]
        );

        // The publisher still works.
        let again = publisher.publish(&[message("b", "b1"), message("b", "b2")]).await;
        assert!(again.iter().all(Result::is_ok), "{again:?}");
    });
}

#[test]
fn what_the_client_refuses_holds_back_its_key() {
    block_on(async {
        let mock = Mock::start();
        mock.create_topic("orders", 1);
        let publisher = mock.kafka().set("message.max.bytes", "2000").unwrap().publisher().unwrap();
        let message = |key, length| Message::new("orders", "x".repeat(length)).with_key(key);
        let batch = [message("a", 10), message("a", 5_000), message("a", 10), message("b", 10)];
        let refusals: Vec<Option<PublishErrorKind>> = publisher
            .publish(&batch)
            .await
            .into_iter()
            .map(|result| result.err().map(|error| error.refusal))
            .collect();
        assert_eq!(
            refusals,
            [None, Some(PublishErrorKind::Rejected), Some(PublishErrorKind::KeyBlocked), None]
        );
    });
}
