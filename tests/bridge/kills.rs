use std::collections::{BTreeMap, BTreeSet};

use messagekit_testkit::{block_on, eventually};

use crate::rabbit::id_of;
use crate::records::{ids, orders, publish, settled};
use crate::stage::{PATIENCE, Stage};

const KILLS: usize = 5;

#[test]
fn killed_while_work_is_unfinished_it_loses_nothing_and_keeps_the_order() {
    block_on(async {
        let stage = Stage::new(3).await;
        let queue = stage.bound_queue("all").await;
        let sent = orders(&stage.topic, 100, 60);
        publish(&sent).await;
        // Slow enough that each kill meets unfinished work, whatever the machine.
        let limit = "[bridge.limit]\nmessages = 500\nper = \"1s\"";
        for kill in 0..KILLS {
            let before = settled(&stage.name, &stage.topic, stage.partitions).await;
            assert!(before < sent.len() as i64, "nothing was left for kill {kill}");
            let mut bridge = stage.start(limit);
            bridge.ready().await;
            eventually("it forwards", PATIENCE, async || {
                bridge.is_alive_still();
                settled(&stage.name, &stage.topic, stage.partitions).await > before
            })
            .await;
            bridge.kill();
        }
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
            assert_eq!(order, (0..60).collect::<Vec<_>>(), "{key}");
        }
        assert!(bridge.stop().await.success());
    });
}
