//! Offsets with a broker that keeps its connections and confirms nothing.

use std::collections::BTreeSet;

use messagekit_tests::services;

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, orders, publish, settled};
use crate::stage::Stage;
use crate::wire::{Wire, run};

const UNCONFIRMED: usize = 10;

#[test]
fn nothing_is_settled_while_the_unconfirmed_limit_is_reached() {
    let _turn = TURNS.together();
    run(async {
        let (wire, mut stage) = (Wire::start().await, Stage::new(1).await);
        stage.amqp.clone_from(&wire.url);
        let queue = stage.bound_queue("all").await;
        let warm = orders(&stage.topic, 5, 1);
        publish(&warm).await;
        let mut bridge = stage.start(&format!("unconfirmed = {UNCONFIRMED}\ndrain = \"1s\""));
        bridge.ready().await;
        stage.all_settled(warm.len()).await;

        wire.stall();
        let sent = orders(&stage.topic, 40, 5);
        publish(&sent).await;
        bridge.unconfirmed(UNCONFIRMED).await;
        // A stop commits every settled record.
        bridge.process.stop().await;
        let at = settled(&stage.name, &stage.topic, stage.partitions).await;
        assert_eq!(at, warm.len() as i64, "records are settled that the broker has not confirmed");

        // The messages in the stalled connection are lost with it.
        wire.cut();
        stage.amqp = services::amqp_url();
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(warm.len() + sent.len()).await;
        let found: BTreeSet<String> = stage.rabbit.drain(&queue).await.iter().map(id_of).collect();
        assert_eq!(found, ids(&[warm, sent].concat()));
        bridge.process.stop().await;
    });
}
