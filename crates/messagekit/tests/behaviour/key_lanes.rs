//! Keys of one partition in separate lanes.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use messagekit::adapter::{Capabilities, NextOffset, Positions, RememberedOffsets, Source};
use messagekit::{Error, ErrorKind, OnFailure};
use messagekit_memory::MemorySource;

use crate::fixture::{
    Action, Builder, CALM_KEY, CONSUMER, Running, TOPIC, World, placed, seconds, start, until,
};

/// Duration of a slow handler.
const LONG: Duration = Duration::from_secs(60);
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn lanes(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("more than 0")
}

/// Number of messages that takes every key lane past its first messages.
const CALM: i64 = 64 * 60;

/// Builds a consumer with a deadline for slow handlers.
fn patient(world: &World) -> Builder {
    world.billing().deadline(LONG * 2).key_lanes(lanes(8))
}

/// Starts it and applies the first messages of each of its lanes.
async fn calm(world: &World, builder: Builder) -> Running {
    let consumer = start(builder);
    let before = world.committed(0);
    let messages: Vec<_> = (0..CALM).map(|n| placed(&format!("{CALM_KEY}{}", n % 64), n / 64)).collect();
    world.publish_all(&messages).await;
    until(|| world.committed(0) == before + CALM).await;
    consumer
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_holds_up_its_own_lane_alone() {
    let world = World::new(1);
    let consumer = calm(&world, patient(&world)).await;
    world.script.next("a-1", [Action::Take(LONG)]);
    for n in 1..=50 {
        for key in KEYS {
            world.push(key, n).await;
        }
    }
    let begun = tokio::time::Instant::now();
    // Keys that share the slow key's lane wait for it.
    until(|| world.applied().iter().filter(|id| !id.starts_with('a')).count() >= 150).await;
    assert!(begun.elapsed() < LONG / 2, "others did not wait");
    assert_eq!(world.script.runs_of("a-1").len(), 1, "while it ran");
    assert_eq!(world.script.runs_of("a-2").len(), 0, "its own key does");
    assert!(world.committed(0) <= CALM, "the offset stays before what is in flight");
    until(|| world.committed(0) == CALM + 400).await;
    for key in KEYS {
        let of_key: Vec<String> = world.applied().into_iter().filter(|id| id.starts_with(key)).collect();
        let expected: Vec<String> = (1..=50).map(|n| format!("{key}-{n}")).collect();
        assert_eq!(of_key, expected);
    }
    let offsets = world.store.next_of(CONSUMER, TOPIC).await.expect("offsets");
    assert!(offsets.len() > 1 && offsets.iter().any(|offset| offset.next == CALM + 400), "{offsets:?}");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn applied_messages_past_a_slow_key_are_duplicates_on_takeover() {
    let world = World::new(1);
    let consumer = calm(&world, patient(&world)).await;
    world.script.next("a-1", [Action::Take(LONG)]);
    for key in KEYS {
        world.push_all(key, 10).await;
    }
    until(|| world.applied().len() >= 30).await;
    consumer.kill().await;
    let before = world.applied();
    let consumer = start(patient(&world));
    until(|| world.committed(0) == CALM + 80).await;
    let mut applied = world.applied();
    assert_eq!(applied.len(), 80, "each once");
    applied.sort_unstable();
    applied.dedup();
    assert_eq!(applied.len(), 80);
    assert!(consumer.stop().await.duplicates >= before.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn blocked_key_blocks_no_other_lane_and_read_ahead_is_bounded() {
    let world = World::new(1);
    let consumer = calm(&world, patient(&world).on_failure(OnFailure::Block)).await;
    world.script.always("a-1", Action::Permanent);
    world.push("a", 1).await;
    let others: Vec<_> =
        (0..5_600).map(|n| placed(["b", "c", "d", "e", "f", "g", "h"][n % 7], n as i64 / 7)).collect();
    world.publish_all(&others).await;
    // The messages of key lanes other than the blocked key's.
    until(|| consumer.stats.read().handled >= CALM as u64 + 3_000).await;
    tokio::time::sleep(seconds(60)).await;
    assert!(world.applied().len() < 5_000, "so many may come again, and no more: {}", world.applied().len());
    assert_eq!((world.committed(0), consumer.stats.connection().blocked), (CALM, 1));
    assert_eq!(consumer.stats.connection().lanes, 1);
    world.script.heal();
    until(|| world.committed(0) == CALM + 5_601).await;
    assert_eq!(world.applied().len(), 5_601);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_no_key_goes_around() {
    let world = World::new(1);
    let consumer = calm(&world, patient(&world)).await;
    for n in 1..=40 {
        let mut message = placed("x", n);
        message.key = None;
        world.script.next(&format!("x-{n}"), [Action::Take(seconds(1))]);
        world.publish(message).await;
    }
    let begun = tokio::time::Instant::now();
    until(|| world.applied().len() == 40).await;
    assert!(begun.elapsed() < seconds(40) / 4, "eight run side by side");
    consumer.stop().await;
}

/// A source that keeps its positions with the effects.
struct InOrder(MemorySource);

impl Source for InOrder {
    type Subscriber = <MemorySource as Source>::Subscriber;

    fn capabilities(&self) -> Capabilities {
        Capabilities { any_order: false, ..self.0.capabilities() }
    }

    fn topics(&self) -> &[Arc<str>] {
        self.0.topics()
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        self.0.bind(consumer, remembered).await
    }
}

#[tokio::test]
async fn key_lanes_are_refused_if_the_position_moves_with_the_effects() {
    let world = World::new(1);
    let refused =
        world.billing_from(InOrder(world.topics())).key_lanes(lanes(2)).build().expect_err("in order");
    assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
    assert!(refused.to_string().contains("leave key_lanes out"), "{refused}");
    assert!(world.billing_from(InOrder(world.topics())).key_lanes(lanes(1)).build().is_ok());
}

/// A source that keeps the remembered offsets it receives.
struct Lent {
    source: MemorySource,
    memory: Arc<OnceLock<Arc<dyn RememberedOffsets>>>,
}

impl Source for Lent {
    type Subscriber = <MemorySource as Source>::Subscriber;

    fn capabilities(&self) -> Capabilities {
        self.source.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.source.topics()
    }

    fn consult(&mut self, memory: Arc<dyn RememberedOffsets>) {
        assert!(self.memory.set(memory).is_ok(), "once");
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        self.source.bind(consumer, remembered).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_can_ask_in_which_position_a_message_counts() {
    let (world, memory) = (World::new(1), Arc::default());
    let source = Lent { source: world.topics(), memory: Arc::clone(&memory) };
    let consumer = start(world.billing_from(source).key_lanes(lanes(8)));
    for key in KEYS {
        world.push_all(key, 3).await;
    }
    until(|| world.committed(0) == 24).await;
    let (memory, records) = (memory.get().expect("it was lent"), world.log.records(TOPIC));
    let offsets = memory.next_of(TOPIC).await.expect("offsets");
    assert!(offsets.len() > 1, "{offsets:?}");
    for NextOffset { key_lane, next, .. } in offsets {
        let last = records.iter().find(|record| record.position.offset + 1 == next).expect("a record");
        assert_eq!(memory.key_lane(&last.message, &last.position), key_lane, "of the last one before {next}");
    }
    consumer.stop().await;
}
