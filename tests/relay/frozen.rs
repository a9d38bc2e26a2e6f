//! A broker that freezes for longer than a request may take, and resumes.

use std::collections::BTreeSet;
use std::sync::Arc;

use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::services::{self, Frozen, Service};

use crate::TURNS;
use crate::stage::{Stage, reports};
use crate::verdict::compare;
use crate::writers::Writers;

/// Returns the smallest number of freezes.
fn freezes() -> usize {
    if messagekit_tests::is_full() { 40 } else { 3 }
}

/// Returns settings in which a request times out after a second, and a publish after three.
fn impatient() -> String {
    format!(
        "[relay]\nlease = \"600s\"\nbatch = 50\n[kafka]\nbrokers = [\"{}\"]\n\
         properties = {{ \"socket.timeout.ms\" = \"1000\", \"delivery.timeout.ms\" = \"3000\", \"retry.backoff.max.ms\" = \"100\" }}\n",
        services::kafka()
    )
}

/// Returns how many publishes the relay has repeated so far.
fn repeated(address: &str) -> u64 {
    let statistics =
        ureq::get(format!("{address}/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    let line = statistics.lines().find(|line| line.starts_with("messagekit_relay_repeated_total{"));
    line.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse().unwrap())
}

/// Returns how many records of the topic are duplicates.
fn copies(stage: &Stage) -> usize {
    let mut seen = BTreeSet::new();
    stage.topic.read().iter().filter(|record| !seen.insert(record.id())).count()
}

/// Records that the broker has received and not answered are written when it resumes, beside their retries.
#[test]
fn a_frozen_broker_that_resumes_has_each_event_in_key_order() {
    let _turn = TURNS.alone();
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
        let mut freeze = 0;
        while freeze < freezes() || copies(&stage) == 0 {
            assert!(freeze < 20 * freezes(), "void: nothing came twice");
            freeze += 1;
            let before = left().await;
            eventually("events leave", DEADLINE, async || left().await > before + 200).await;
            let frozen = Frozen::new(Service::Kafka);
            // The requests in flight have timed out: they are in the socket of the broker, and will be sent again.
            let given_up = repeated(&address);
            eventually("publishes are given up", DEADLINE, async || {
                relay.is_alive_still();
                repeated(&address) > given_up
            })
            .await;
            let waiting = stage.pending().await;
            assert!(waiting > 0, "void: nothing waits for the broker");
            drop(frozen);
            println!("freeze {freeze}: {waiting} events wait");
            reports(&mut relay, &address, "it goes on", |code, _| code == 200).await;
        }
        writers.finish().await;
        stage.until_published().await;
        assert_eq!(stage.rejected().await, 0, "an outage is no refusal");
        println!("frozen: {}", compare(&stage, None).await);
        relay.stop().await;
    });
}
