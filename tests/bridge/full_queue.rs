use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lapin::types::AMQPValue;
use messagekit_testkit::{block_on, eventually};

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, orders, publish};
use crate::stage::{PATIENCE, Stage};

/// Returns the largest number of attempts at one message in this time. The waits are 1, 2, 4, 8, 16 and then 30 seconds, each
/// shortened by up to a half.
fn offers(time: Duration) -> usize {
    let waits = [1, 2, 4, 8, 16].into_iter().chain(std::iter::repeat(30));
    let ends = waits.scan(Duration::ZERO, |end, wait| {
        *end += Duration::from_millis(500 * wait);
        Some(*end)
    });
    1 + ends.take_while(|end| *end <= time).count()
}

#[test]
fn full_queue_costs_few_duplicates_and_later_gets_everything() {
    let _turn = TURNS.together();
    const KEYS: usize = 20;
    block_on(async {
        let stage = Stage::new(1).await;
        let (healthy, full) = (stage.bound_queue("healthy").await, stage.queue("full"));
        let limit = [
            ("x-max-length", AMQPValue::LongLongInt(1)),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        ];
        stage.rabbit.queue(&full, &stage.exchange, "#", &limit).await;
        let sent = orders(&stage.topic, KEYS, 3);
        publish(&sent).await;
        let began = Instant::now();
        let mut bridge = stage.start("");
        bridge.reports("it says that a queue is full", |text| text.contains("queue_full")).await;
        let said = Instant::now();
        while said.elapsed() < Duration::from_secs(12) {
            let ready = bridge.get("/health/ready").unwrap();
            assert!(ready.contains("queue_full"), "{ready}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let copies = stage.rabbit.depth(&healthy).await;
        let (most, taken) = (offers(began.elapsed()), stage.rabbit.depth(&full).await);
        assert!(taken < sent.len(), "the queue is not full");
        assert!(copies <= taken + KEYS * most, "{copies} copies, {taken} taken, {most} offers");

        let mut found = BTreeSet::new();
        eventually("everything arrives when it is read", PATIENCE, async || {
            found.extend(stage.rabbit.drain(&full).await.iter().map(id_of));
            found.len() == sent.len()
        })
        .await;
        assert_eq!(found, ids(&sent));
        stage.all_settled(sent.len()).await;
        let others: BTreeSet<String> = stage.rabbit.drain(&healthy).await.iter().map(id_of).collect();
        assert_eq!(others, ids(&sent));
        bridge.ready().await;
        let log = bridge.process.log();
        assert_eq!(log.matches("queue has no room").count(), log.matches("queues have room again").count());
        assert_eq!(log.matches("queue has no room").count(), 1, "{log}");
        assert!(!log.contains("broker does not take messages"), "{log}");
        bridge.process.stop().await;
    });
}
