use std::collections::BTreeSet;

use messagekit_testkit::block_on;

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, order, orders, publish, read};
use crate::stage::Stage;

/// Crashes the bridge at a point, restarts it and requires that every message arrives.
fn dies_at(point: &str) {
    block_on(async {
        let mut stage = Stage::new(1).await;
        stage.session = 6;
        let queue = stage.queue("all");
        stage.rabbit.queue(&queue, &stage.exchange, "orders.#", &[]).await;
        let sent = orders(&stage.topic, 20, 5);
        let unwanted = order(&stage.topic, "unwanted", 0).with_header("eventType", "nobody.wants.it");
        publish(&sent).await;
        publish(std::slice::from_ref(&unwanted)).await;
        let mut bridge = stage.start_with(&stage.settings(""), &[("MESSAGEKIT_CRASH_AT", point)]);
        bridge.process.dies().await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(sent.len() + 1).await;
        let found: BTreeSet<String> = stage.rabbit.drain(&queue).await.iter().map(id_of).collect();
        assert_eq!(found, ids(&sent), "{point}");
        assert_eq!(ids(&read(&stage.dead(), 1).await), ids(&[unwanted]), "{point}");
        bridge.process.stop().await;
    });
}

#[test]
fn a_bridge_that_dies_after_a_publish_publishes_again() {
    let _turn = TURNS.together();
    dies_at("bridge.published:7");
}

#[test]
fn a_bridge_that_dies_after_a_confirm_publishes_again() {
    let _turn = TURNS.together();
    dies_at("bridge.confirmed:7");
}

#[test]
fn a_bridge_that_dies_after_settling_goes_on() {
    let _turn = TURNS.together();
    dies_at("bridge.settled");
}

#[test]
fn a_bridge_that_dies_after_a_dead_letter_goes_on() {
    let _turn = TURNS.together();
    dies_at("bridge.dead_lettered");
}
