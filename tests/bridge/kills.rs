use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use messagekit::Message;
use messagekit_testkit::eventually;

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, order, publish, settled};
use crate::stage::{PATIENCE, Stage};
use crate::wire::{Wire, run};

const KILLS: usize = 5;
/// A small number, which is soon reached with a silent broker.
const UNCONFIRMED: usize = 20;

#[test]
fn kills_during_unfinished_work_lose_nothing_and_keep_order() {
    let _turn = TURNS.together();
    run(async {
        let (wire, mut stage) = (Wire::start().await, Stage::new(3).await);
        stage.session = 6;
        stage.amqp.clone_from(&wire.url);
        let queue = stage.bound_queue("all").await;
        const KEYS: usize = 100;
        let (mut sent, mut of) = (Vec::new(), 0);
        // Slow enough and long enough that each kill meets unfinished work on any machine.
        let limit = format!("unconfirmed = {UNCONFIRMED}\n[bridge.limit]\nmessages = 500\nper = \"1s\"");
        for round in 0..KILLS {
            wire.mend();
            let before = settled(&stage.name, &stage.topic, stage.partitions).await;
            while (sent.len() as i64) < before + 6_000 {
                let more: Vec<Message> =
                    (0..KEYS).map(|key| order(&stage.topic, &format!("k{key}"), of)).collect();
                publish(&more).await;
                sent.extend(more);
                of += 1;
            }
            let mut bridge = stage.start(&limit);
            bridge.ready().await;
            eventually("it forwards", PATIENCE, async || {
                bridge.process.is_alive_still();
                settled(&stage.name, &stage.topic, stage.partitions).await > before
            })
            .await;
            // Every other bridge is killed with the largest number of unconfirmed messages, which are lost with its connection.
            if round % 2 == 0 {
                wire.stall();
                bridge.unconfirmed(UNCONFIRMED).await;
                until_commits_rest(&stage).await;
            }
            bridge.process.kill();
            wire.cut();
        }
        wire.mend();
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(sent.len()).await;
        let found = stage.rabbit.drain(&queue).await;
        let mut bytes: BTreeMap<String, &[u8]> = BTreeMap::new();
        let mut firsts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for delivery in &found {
            let id = id_of(delivery);
            if let Some(first) = bytes.insert(id.clone(), &delivery.data) {
                assert_eq!(first, delivery.data, "{id} came with other bytes");
                continue;
            }
            let (key, n) = id.rsplit_once('-').unwrap();
            firsts.entry(key.to_owned()).or_default().push(n.parse().unwrap());
        }
        assert_eq!(bytes.into_keys().collect::<BTreeSet<_>>(), ids(&sent));
        for (key, order) in firsts {
            assert_eq!(order, (0..of).collect::<Vec<_>>(), "{key}");
        }
        bridge.process.stop().await;
    });
}

/// Waits until the committed offsets have not changed for longer than a bridge takes to commit settled records.
async fn until_commits_rest(stage: &Stage) {
    let (mut known, mut since) = (0, Instant::now());
    eventually("the committed offsets rest", PATIENCE, async || {
        let now = settled(&stage.name, &stage.topic, stage.partitions).await;
        if now != known {
            (known, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(2)
    })
    .await;
}
