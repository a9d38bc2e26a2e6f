//! The memory that a slow consumer uses.

use std::sync::Arc;
use std::time::Duration;

use messagekit::Message;
use messagekit::adapter::{Publisher, Subscriber};
use messagekit_testkit::{block_on, unique};

use crate::broker::{self, join, kafka};

const PAYLOAD: usize = 100_000;

/// Publishes messages of 100 kB under one key.
async fn publish_large(topic: &Arc<str>, count: usize) {
    let publisher = kafka().publisher().unwrap();
    let body = "x".repeat(PAYLOAD);
    let batch: Vec<Message> = (0..count)
        .map(|number| Message::new(topic.clone(), format!("{number} {body}")).with_key("k"))
        .collect();
    publisher.publish(&batch).await.into_iter().for_each(|result| result.unwrap());
}

#[test]
fn what_is_in_flight_is_bounded_in_bytes_too() {
    block_on(async {
        let topic = broker::topic(1, &[]).await;
        publish_large(&topic, 300).await;
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        let mut taken = vec![receiver.message().await];
        let lane = taken[0].receipt.lane();
        receiver.subscriber().pause(lane);
        taken.extend(receiver.take_while_busy(Duration::from_secs(1)).await);
        let more = taken.len() - 1;
        assert!(more * PAYLOAD <= 9 * 1024 * 1024, "{more} messages of 100 kB came after the pause");
        assert!(more < 300 - 1, "everything came after the pause");
        receiver.subscriber().resume(lane);
        taken.extend(receiver.take(300 - taken.len()).await);
        assert_eq!(taken.len(), 300);
    });
}
