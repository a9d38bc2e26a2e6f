//! Random faults and kills: nothing is lost or changed, keys keep their order, and no offset passes an unconfirmed
//! message.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::{Message, headers};
use messagekit_memory::MemoryStore;
use proptest::prelude::*;

use crate::broker::Fate;
use crate::fixture::{BRIDGE, Running, TOPIC, World, firsts_of, order, until};

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    partitions: usize,
    keys: usize,
    of: usize,
    latency: u64,
    /// Maximum number of messages in flight: small, because only a full window shows the bridge's behaviour.
    unconfirmed: NonZeroUsize,
    /// Events with their delay in milliseconds.
    happenings: Vec<(u64, Happening)>,
    filter: bool,
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Kill,
    Stop,
    Lose,
    Join,
    Block(u64),
}

fn plan() -> impl Strategy<Value = Plan> {
    let happening = prop_oneof![
        Just(Happening::Kill),
        Just(Happening::Stop),
        Just(Happening::Lose),
        Just(Happening::Join),
        (1_u64..20_000).prop_map(Happening::Block),
    ];
    (
        any::<u64>(),
        1_usize..5,
        1_usize..12,
        1_usize..12,
        0_u64..200,
        prop_oneof![4 => 1_usize..6, 1 => Just(500)],
        prop::collection::vec((1_u64..400, happening), 0..8),
        any::<bool>(),
    )
        .prop_map(|(seed, partitions, keys, of, latency, unconfirmed, happenings, filter)| Plan {
            seed,
            partitions,
            keys,
            of,
            latency,
            unconfirmed: NonZeroUsize::new(unconfirmed).unwrap(),
            happenings,
            filter,
        })
}

async fn play(plan: Plan) {
    let world = World::new(plan.partitions);
    world.broker.latency(Duration::from_millis(plan.latency));
    let dice = Arc::new(Mutex::new(fastrand::Rng::with_seed(plan.seed)));
    let unwanted = |id: &str| id.ends_with("-3");
    world.broker.script(move |message| {
        if unwanted(message.headers.text(headers::ID).unwrap()) {
            return Fate::Returned;
        }
        match dice.lock().unwrap().u8(0..12) {
            0 => Fate::Nacked,
            3 => Fate::Away,
            1 => Fate::TakenUnknown,
            2 => Fate::LostUnknown,
            _ => Fate::Taken,
        }
    });
    world.publish_keys(plan.keys, plan.of).await;
    let store = MemoryStore::new();
    let bridge = || {
        let bridge = world.bridge().drain(Duration::from_secs(2)).unconfirmed(plan.unconfirmed);
        match plan.filter {
            true => bridge.duplicates(Arc::new(messagekit_bridge::ProcessedIds::new(store.clone(), BRIDGE))),
            false => bridge,
        }
    };
    let mut running = vec![Running::start(bridge())];
    for (after, happening) in &plan.happenings {
        tokio::time::sleep(Duration::from_millis(*after)).await;
        match happening {
            Happening::Kill => running.remove(0).kill().await,
            Happening::Stop => running.remove(0).stop().await.unwrap(),
            Happening::Lose => world.log.lose(BRIDGE),
            Happening::Join => running.push(Running::start(bridge())),
            Happening::Block(millis) => {
                world.broker.block(true);
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                check_offsets(&world);
                world.broker.block(false);
            }
        }
        if running.is_empty() {
            running.push(Running::start(bridge()));
        }
        check_offsets(&world);
    }
    let all = (plan.keys * plan.of) as i64;
    until("all are settled", || {
        check_offsets(&world);
        world.committed() == all
    })
    .await;
    for bridge in running {
        bridge.stop().await.unwrap();
    }
    check_offsets(&world);
    check_copies(&world.broker.taken());
    let ids = world.broker.taken_ids();
    let dead_letters: BTreeSet<String> = world
        .dead_letters()
        .iter()
        .map(|dead_letter| dead_letter.headers.text(headers::ID).unwrap().into())
        .collect();
    for key in 0..plan.keys {
        let key = format!("k{key}");
        let wanted: Vec<usize> = (0..plan.of).filter(|n| !unwanted(&format!("{key}-{n}"))).collect();
        assert_eq!(firsts_of(&ids, &key), wanted, "{key}");
        for n in (0..plan.of).filter(|n| unwanted(&format!("{key}-{n}"))) {
            assert!(dead_letters.contains(&format!("{key}-{n}")), "{key}-{n} is no dead letter");
        }
    }
}

/// Checks that every record before a committed offset is at the broker or in the dead-letter topic.
fn check_offsets(world: &World) {
    let mut there: BTreeSet<String> = world.broker.taken_ids().into_iter().collect();
    there.extend(
        world
            .dead_letters()
            .iter()
            .map(|dead_letter| dead_letter.headers.text(headers::ID).unwrap().to_owned()),
    );
    for record in world.log.records(TOPIC) {
        if record.position.offset < world.log.committed(BRIDGE, TOPIC, record.position.partition) {
            let id = record.message.headers.text(headers::ID).unwrap();
            assert!(there.contains(id), "{id} is settled and nowhere");
        }
    }
}

fn check_copies(taken: &[Message]) {
    let mut first: BTreeMap<&str, &Message> = BTreeMap::new();
    for message in taken {
        let id = message.headers.text(headers::ID).unwrap();
        let (key, n) = id.rsplit_once('-').unwrap();
        assert_eq!(message.payload, order(key, n.parse().unwrap()).payload);
        assert_eq!(*first.entry(id).or_insert(message), message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn nothing_is_lost_and_keys_keep_their_order(plan in plan()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(plan));
    }
}
