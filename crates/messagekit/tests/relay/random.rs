//! Random faults, kills, freezes, late commits and operator actions: nothing is lost or invented, and keys keep their
//! order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::{Message, headers};
use proptest::prelude::*;

use crate::broker::Fate;
use crate::fixture::{OTHER, Running, TOPIC, World, event, firsts, firsts_of, until};
use crate::tables::Decided;

/// Committed events by topic and key.
type Book = Arc<Mutex<BTreeMap<(&'static str, String), Vec<usize>>>>;

async fn play(seed: u64) {
    fastrand::seed(seed);
    let mut dice = fastrand::Rng::with_seed(seed);
    let world = World::new();
    world.outbox.disturb(seed, Duration::from_millis(dice.u64(0..40)), dice.u8(0..8));
    world.outbox.says_decided([Decided::Exactly, Decided::Late, Decided::Nothing][dice.usize(0..3)]);
    let poison: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    misbehave(&world, dice.fork(), Arc::clone(&poison), dice.u8(0..12));

    let book = Book::default();
    let (keys, of) = (dice.usize(1..10), dice.usize(5..40));
    let mut writers = Vec::new();
    for key in 0..keys {
        for topic in [TOPIC, OTHER] {
            if dice.u8(0..20) < 3 {
                poison.lock().unwrap().insert(format!("{key}.{topic}-{}", dice.usize(0..of)));
            }
            writers.push(tokio::spawn(write(world.clone(), topic, key, of, dice.fork(), Arc::clone(&book))));
        }
    }

    let mut names = (0..).map(|n| format!("relay{n}"));
    let (poll, batch) = (Duration::from_millis(dice.u64(5..60)), dice.u32(1..60));
    let mut start = |world: &World| {
        let relay = world.relay_named(&names.next().unwrap()).poll(poll);
        Running::start(relay.batch(batch.try_into().unwrap()).drain(Duration::from_secs(2)))
    };
    let mut running: Vec<Running> = (0..dice.usize(1..5)).map(|_| start(&world)).collect();
    for _ in 0..dice.usize(0..10) {
        tokio::time::sleep(Duration::from_millis(dice.u64(1..2_000))).await;
        match dice.u8(0..7) {
            0 => running.swap_remove(dice.usize(0..running.len())).kill().await,
            1 => running.swap_remove(dice.usize(0..running.len())).stop().await.unwrap(),
            2 if running.len() < 4 => running.push(start(&world)),
            3 => {
                let frozen = running.swap_remove(dice.usize(0..running.len()));
                frozen.freeze(true);
                tokio::time::sleep(Duration::from_millis(dice.u64(1..9_000))).await;
                frozen.freeze(false);
                running.push(frozen);
            }
            4 => {
                world.outbox.set_down(true);
                tokio::time::sleep(Duration::from_millis(dice.u64(1..6_000))).await;
                world.outbox.set_down(false);
            }
            _ => {
                if dice.bool() {
                    poison.lock().unwrap().pop_first();
                }
                world.outbox.rejected_keys().iter().for_each(|key| world.outbox.retry(key));
            }
        }
        if running.is_empty() {
            running.push(start(&world));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    poison.lock().unwrap().clear();
    world.broker.script(|_| Fate::Taken);
    until("everything is published", || {
        world.outbox.rejected_keys().iter().for_each(|key| world.outbox.retry(key));
        world.outbox.pending_count() == 0 && world.outbox.rejected_count() == 0
    })
    .await;
    for relay in running {
        relay.stop().await.unwrap();
    }
    check(&world.broker.taken(), &book.lock().unwrap());
}

/// Sets faults for `faults` of a hundred messages; some calls are slow, and a few exceed the relay's timeout.
fn misbehave(world: &World, mut dice: fastrand::Rng, poison: Arc<Mutex<BTreeSet<String>>>, faults: u8) {
    let mut slow = dice.fork();
    world.broker.waits(move |_| match slow.u16(0..1_000) {
        0 => Duration::from_millis(slow.u64(0..8_000)),
        1..30 => Duration::from_millis(slow.u64(0..300)),
        _ => Duration::from_micros(slow.u64(0..2_000)),
    });
    world.broker.script(move |message| {
        if poison.lock().unwrap().contains(message.headers.text(headers::ID).unwrap()) {
            return Fate::Rejected;
        }
        match dice.u8(0..100) {
            n if n >= faults => Fate::Taken,
            n if n % 3 == 0 => Fate::Unavailable,
            n if n % 3 == 1 => Fate::TakenUnknown,
            _ => Fate::LostUnknown,
        }
    });
}

/// One writer of a key: its transactions are sequential, and those of other writers overlap them.
async fn write(
    world: World,
    topic: &'static str,
    key: usize,
    of: usize,
    mut dice: fastrand::Rng,
    book: Book,
) {
    let key = format!("{key}.{topic}");
    let mut n = 0;
    while n < of {
        let mut tx = world.outbox.begin();
        let events: Vec<usize> = (n..of.min(n + dice.usize(1..4))).collect();
        n += events.len();
        events.iter().for_each(|n| tx.add(event(topic, &key, *n)));
        let most = if dice.u8(0..10) == 0 { 3_000 } else { 60 };
        tokio::time::sleep(Duration::from_millis(dice.u64(0..most))).await;
        if dice.u8(0..10) < 3 {
            continue;
        }
        tx.commit();
        book.lock().unwrap().entry((topic, key.clone())).or_default().extend(events);
        if dice.bool() {
            world.outbox.wake();
        }
    }
}

fn check(taken: &[Message], book: &BTreeMap<(&'static str, String), Vec<usize>>) {
    for ((topic, key), committed) in book {
        assert_eq!(&firsts_of(taken, topic, key), committed, "{topic} {key}");
    }
    assert_eq!(firsts(taken).len(), book.values().map(Vec::len).sum::<usize>(), "something was made up");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 0, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_skipped_and_first_appearances_keep_their_order(seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(seed));
    }
}
