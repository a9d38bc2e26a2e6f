//! Relays that are killed and frozen, and of whose calls one in a hundred fails. The broker refuses the events that
//! they hold, and one event permanently.

use std::sync::Arc;
use std::time::Instant;

use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Program;
use messagekit_tests::services::{self, Service};
use rustix::process::Signal;

use crate::TURNS;
use crate::command::{asked, messagekit};
use crate::stage::{LIMIT, POISON, Stage};
use crate::verdict::compare;
use crate::writers::Writers;

/// The number of keys, one of them in the shard of the first one.
const KEYS: usize = 16;
const WRITERS: usize = 4;

/// Returns how often a relay is killed and one is frozen, with two relays and again with four.
fn rounds() -> usize {
    if messagekit_tests::is_full() { 20 } else { 1 }
}

#[test]
fn relays_that_crash_and_freeze_publish_all_in_key_order() {
    let _turn = TURNS.alone();
    block_on(async {
        let started = Instant::now();
        let stage = Arc::new(Stage::new(4).await);
        let mut relays = vec![stage.flaky("relay-0"), stage.flaky("relay-1")];
        let writers = Writers::start(&stage, keys(&stage).await);
        let (mut unfinished, mut failures) = (0, 0);
        for _ in 0..rounds() {
            unfinished += kill(&stage, &mut relays).await + freeze(&stage, &mut relays).await;
        }
        relays.extend([stage.flaky("relay-2"), stage.flaky("relay-3")]);
        writers.poison();
        eventually("the broker refuses one event for good", DEADLINE, async || stage.rejected().await >= 2)
            .await;
        for _ in 0..rounds() {
            unfinished += kill(&stage, &mut relays).await + freeze(&stage, &mut relays).await;
        }
        eventually("calls have failed", DEADLINE, async || {
            failures += relays.iter().map(failed_calls).sum::<usize>();
            failures >= 3
        })
        .await;
        // No call in flight is answered.
        services::kill(Service::Kafka);
        unfinished += kill(&stage, &mut relays).await;
        services::start(Service::Kafka);
        writers.finish().await;
        stage.until_published().await;
        assert!(unfinished > 0, "void: nothing was unfinished when a relay died or froze");
        let statistics = compare(&stage, Some(POISON)).await;
        println!(
            "{statistics}; {failures} calls failed; {unfinished} events waited for relays that died or froze; {:.1?}",
            started.elapsed()
        );

        // An operator raises the limit and retries the event.
        let stage = Arc::into_inner(stage).expect("the writers have ended");
        let url = stage.database.url().to_owned();
        let list = asked(&["outbox", "rejected", "list", "--json"], &url);
        let [refused] = &list["events"].as_array().unwrap()[..] else { panic!("not one event: {list}") };
        assert_eq!((&refused["event_id"], &refused["attempts"]), (&POISON.into(), &1.into()), "{list}");
        let behind = refused["behind"].as_i64().unwrap();
        assert!(behind > 0 && behind + 1 == stage.rejected().await, "{list}");
        let id = refused["id"].to_string();
        stage.topic.takes_up_to(4 * LIMIT).await;
        messagekit(&["outbox", "rejected", "retry", &id], &url);
        stage.until_published().await;
        assert_eq!(stage.rejected().await, 0);
        println!("with {behind} behind the refused one: {}", compare(&stage, None).await);
        for mut relay in relays {
            relay.stop().await;
        }
    });
}

/// Returns how many calls of a relay have failed since the last call of this function.
fn failed_calls(relay: &Program) -> usize {
    relay.printed().filter(|line| line.starts_with("failed a call")).count()
}

/// Kills a relay that has work, and starts another one. Returns the number of events it left.
async fn kill(stage: &Stage, relays: &mut Vec<Program>) -> i64 {
    let mut relay = relays.remove(busy(stage, relays).await);
    let name = relay.name().to_owned();
    relay.kill();
    let left = leaves_something(stage, &name).await;
    relays.push(stage.flaky(&name));
    left
}

/// Freezes a relay that has work, until others have its shards, and resumes it. Returns the number of events it held.
async fn freeze(stage: &Stage, relays: &mut [Program]) -> i64 {
    let relay = &mut relays[busy(stage, relays).await];
    relay.send(Signal::STOP);
    let left = leaves_something(stage, relay.name()).await;
    eventually("others have its shards", DEADLINE, async || stage.shards_of(relay.name()).await == 0).await;
    relay.send(Signal::CONT);
    relay.is_alive_still();
    left
}

/// Finds a relay for which events wait.
async fn busy(stage: &Stage, relays: &[Program]) -> usize {
    let mut found = None;
    eventually("events wait for a relay", DEADLINE, async || {
        for (index, relay) in relays.iter().enumerate() {
            if stage.waits_for(relay.name()).await > 0 {
                found = Some(index);
            }
        }
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Waits until a stopped relay has work: the writers continue, and its lease lasts for a while. Returns the number of events.
async fn leaves_something(stage: &Stage, relay: &str) -> i64 {
    let mut left = 0;
    eventually("something is unfinished", DEADLINE, async || {
        left = stage.waits_for(relay).await;
        // On a slow machine other relays may hold its shards already.
        left > 0 || stage.shards_of(relay).await == 0
    })
    .await;
    left
}

/// Returns the keys of each writer. The first two keys share a shard, which shows that one continues without the other.
async fn keys(stage: &Stage) -> Vec<Vec<String>> {
    let neighbour = "SELECT 'n' || n FROM generate_series(1, 100000) n
      WHERE get_byte(sha256(convert_to('n' || n, 'UTF8')), 0) & 63 = get_byte(sha256(convert_to('k0', 'UTF8')), 0) & 63 LIMIT 1";
    let neighbour: String = sqlx::query_scalar(neighbour).fetch_one(stage.store.pool()).await.unwrap();
    let mut keys: Vec<Vec<String>> = vec![Vec::new(); WRITERS];
    for key in 0..KEYS {
        let name = if key == 1 { neighbour.clone() } else { format!("k{key}") };
        keys[key % WRITERS].push(name);
    }
    keys
}
