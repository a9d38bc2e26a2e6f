//! A broker that freezes for longer than a request may take, and goes on.

use std::sync::{Arc, PoisonError};

use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::services::{self, Service};

use crate::ALONE;
use crate::stage::Stage;
use crate::verdict::compare;
use crate::writers::Writers;

/// How often it freezes at least.
fn freezes() -> usize {
    if std::env::var("MESSAGEKIT_FULL").is_ok_and(|full| full == "1") { 40 } else { 3 }
}

/// A broker that answers nothing. It goes on when this is dropped: the tests behind this one need it too.
struct Frozen;

impl Frozen {
    fn new() -> Self {
        services::freeze(Service::Kafka);
        Self
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        services::thaw(Service::Kafka);
    }
}

/// A request is given up after a second, and a publish after three.
fn impatient() -> String {
    format!(
        "[relay]\nlease = \"600s\"\nbatch = 50\n[kafka]\nbrokers = [\"{}\"]\n\
         properties = {{ \"socket.timeout.ms\" = \"1000\", \"delivery.timeout.ms\" = \"3000\", \"retry.backoff.max.ms\" = \"100\" }}\n",
        services::kafka()
    )
}

/// What it has read from its socket and not answered is written when it goes on, beside what was sent again.
#[test]
fn a_broker_that_freezes_and_goes_on_has_each_event_and_the_order_of_each_key() {
    let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    block_on(async {
        let stage = Arc::new(Stage::new(4).await);
        stage.configure(&impatient());
        let mut relay = stage.relay("relay");
        let address = relay.address();
        let keys =
            (0..4).map(|writer| (0..4).map(|key| format!("k{}", 4 * key + writer)).collect()).collect();
        let writers = Writers::start(&stage, keys);
        let left = async || {
            let left = "SELECT (SELECT count(*) FROM messagekit.outbox_events) - count(*) FROM messagekit.outbox_pending";
            stage.count(left).await
        };
        for freeze in 0..freezes() {
            let before = left().await;
            eventually("events leave", DEADLINE, async || left().await > before + 200).await;
            let frozen = Frozen::new();
            // No event has left since, and the publishes that were under way are given up.
            relay
                .reports(&address, "the topic is given up for a while", |code, report| {
                    let problems = report["problems"].as_array().unwrap();
                    code == 503 && problems.iter().any(|problem| problem["name"] == "topic_paused")
                })
                .await;
            let waiting = stage.pending().await;
            assert!(waiting > 0, "void: nothing waits for the broker");
            drop(frozen);
            println!("freeze {freeze}: {waiting} events wait");
            relay.reports(&address, "it goes on", |code, _| code == 200).await;
        }
        writers.finish().await;
        stage.until_published().await;
        assert_eq!(stage.rejected().await, 0, "an outage is no refusal");
        println!("frozen: {}", compare(&stage, None).await);
        relay.stop().await;
    });
}
