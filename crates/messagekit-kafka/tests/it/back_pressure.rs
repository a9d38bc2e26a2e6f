//! How much is fetched for a consumer that takes nothing.

use std::time::Duration;

use messagekit::Message;
use messagekit::adapter::{Publisher, Source, Subscriber};
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::log;
use crate::mock::Mock;

#[test]
fn a_paused_lane_fetches_no_more_than_its_bound() {
    const COUNT: usize = 3_500;
    log::keep();
    block_on(async {
        let mock = Mock::start();
        mock.create_topic("orders", 1);
        let publisher = mock.kafka().set("compression.type", "none").unwrap().publisher().unwrap();
        let body = "x".repeat(1_000);
        let batch: Vec<Message> =
            (0..COUNT).map(|number| Message::new("orders", format!("{number} {body}"))).collect();
        publisher.publish(&batch).await.into_iter().for_each(|result| result.unwrap());

        let client = unique("client");
        let settings = [
            ("client.id", client.as_str()),
            ("statistics.interval.ms", "50"),
            ("queued.max.messages.kbytes", "100"),
            ("fetch.message.max.bytes", "50000"),
        ];
        let kafka =
            settings.into_iter().fold(mock.kafka(), |kafka, (key, value)| kafka.set(key, value).unwrap());
        let subscriber = kafka.topics(["orders"]).bind(&unique("consumer"), &[]).await.unwrap();
        let mut receiver = Receiver::new(subscriber, "consumer");
        let mut taken = vec![receiver.message().await];
        let lane = taken[0].receipt.lane();
        receiver.subscriber().pause(lane);
        taken.extend(receiver.take_while_busy(Duration::from_secs(1)).await);
        // Two equal reports in a row: fetching has stopped.
        let mut last = None;
        eventually("nothing more is fetched", DEADLINE, async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = std::mem::replace(&mut last, log::received_bytes(&client));
            before.zip(last).is_some_and(|(before, now)| now - before < 10_000)
        })
        .await;
        let fetched = last.unwrap();
        assert!(fetched > 50_000, "the statistics say that {fetched} bytes came");
        assert!(fetched < 1_500_000, "{fetched} bytes were fetched for {} messages of 1 kB", taken.len());
        receiver.subscriber().resume(lane);
        taken.extend(receiver.take(COUNT - taken.len()).await);
    });
}
