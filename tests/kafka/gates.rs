//! A consumer that is held back stays in its group, however long that lasts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::adapter::{Lane, Publisher, Subscriber, codec};
use messagekit::{Consumer, Envelope, HandlerError, Shutdown};
use messagekit_memory::{MemoryStore, MemoryTx, TestGate};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::OrderPlaced;

use crate::broker::{POLL, impatient, join, kafka, topic_of};
use crate::membership::follow;

async fn accept(_tx: &mut MemoryTx, _order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    Ok(())
}

/// Publishes orders of many keys, enough for every partition.
async fn place(topic: &Arc<str>, orders: std::ops::Range<usize>) {
    let message = |number: usize| {
        let order = Envelope::new(OrderPlaced { order_id: format!("o-{number}") });
        let mut message = codec::encode(&order, "shop").unwrap();
        message.topic = topic.clone();
        message
    };
    let orders: Vec<_> = orders.map(message).collect();
    for result in kafka().publisher().unwrap().publish(&orders).await {
        result.unwrap();
    }
}

/// Returns the time that the gate is closed: five minutes at the stated size.
fn closed_for() -> Duration {
    if messagekit_tests::is_full() { Duration::from_secs(300) } else { POLL * 2 }
}

#[test]
fn gate_closed_for_several_poll_intervals_causes_no_rebalance() {
    block_on(async {
        let (topic, name) = (topic_of::<OrderPlaced>(4).await, unique("consumer"));
        place(&topic, 0..400).await;
        let gate = TestGate::new();
        let consumer = Consumer::builder(name.as_str(), MemoryStore::new())
            .from(impatient().topics([topic.clone()]))
            .on(accept)
            .gate(gate.clone())
            .build()
            .unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));

        // Another member, which sees each change in the group and receives nothing.
        let mut other = join(&impatient(), &topic, &name).await;
        let mut theirs: BTreeSet<Lane> = BTreeSet::new();
        let end = Instant::now() + DEADLINE;
        while (stats.connection().lanes, theirs.len()) != (2, 2) {
            assert!(Instant::now() < end, "the lanes are not divided: {:?} {theirs:?}", stats.connection());
            follow(&mut other, &mut theirs).await;
        }
        for lane in theirs {
            other.subscriber().pause(lane);
        }
        gate.close();
        eventually("what was admitted before the close is completed", DEADLINE, async || {
            gate.outcomes().len() as u64 + gate.abandoned() == gate.admissions() as u64
        })
        .await;
        let before = stats.read();
        place(&topic, 400..800).await;

        let news = other.next_within(closed_for()).await;
        assert!(news.is_err(), "the group was disturbed: {news:?}");
        assert_eq!(stats.read(), before, "nothing was tried, nothing failed");
        assert_eq!(stats.connection().lanes, 2);

        let opened = Instant::now();
        gate.open();
        eventually("it goes on", DEADLINE, async || stats.read().handled > before.handled).await;
        println!(
            "closed for {:?}, the first message {:?} after it was opened",
            closed_for(),
            opened.elapsed()
        );
        eventually("nothing is left behind", DEADLINE, async || stats.read().handled >= before.handled + 100)
            .await;
        let after = stats.read();
        assert_eq!((after.rolled_back, after.set_aside, after.dead, after.parked), (0, 0, 0, 0), "{after:?}");
        shutdown.request();
        running.await.unwrap().unwrap();
    });
}
