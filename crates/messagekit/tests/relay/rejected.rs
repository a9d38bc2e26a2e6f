use std::time::Duration;

use messagekit::{Message, headers};

use crate::broker::Fate;
use crate::fixture::{OTHER, Running, TOPIC, World, event, firsts_of, order, until, within};
use crate::late_commits::neighbours;

fn id_of(message: &Message) -> &str {
    message.headers.text(headers::ID).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_holds_its_key_and_nothing_else() {
    let world = World::new();
    let keys = neighbours(3);
    let poison = format!("{}-4", keys[0]);
    let refused = poison.clone();
    world.broker.script(move |message| match id_of(message) == refused && &*message.topic == TOPIC {
        true => Fate::Rejected,
        false => Fate::Taken,
    });
    for n in 0..10 {
        world.outbox.write(keys.iter().flat_map(|key| [order(key, n), event(OTHER, key, n)]));
    }
    let relay = Running::start(world.relay());
    until("all have left", || world.outbox.pending_count() == 0).await;
    // Later events are set aside behind it.
    for n in 10..20 {
        world.outbox.write(keys.iter().flat_map(|key| [order(key, n), event(OTHER, key, n)]));
        within(Duration::from_millis(70), "all have left", || world.outbox.pending_count() == 0).await;
    }
    let held: Vec<String> = (4..20).map(|n| format!("{}-{n}", keys[0])).collect();
    assert_eq!(world.outbox.rejected_of(TOPIC, &keys[0]), held);
    assert_eq!(world.outbox.rejected_count(), held.len());
    let taken = world.broker.taken();
    assert_eq!(firsts_of(&taken, TOPIC, &keys[0]), [0, 1, 2, 3]);
    for (topic, key) in [(OTHER, &keys[0]), (TOPIC, &keys[1]), (TOPIC, &keys[2]), (OTHER, &keys[2])] {
        assert_eq!(firsts_of(&taken, topic, key), (0..20).collect::<Vec<_>>(), "{topic} {key}");
    }
    let stats = relay.stats.read();
    assert_eq!((stats.rejected, stats.set_aside, stats.repeated), (1, 16, 0));
    assert!(stats.paused.is_empty(), "a refused event is no outage");
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_key_is_set_aside_alone() {
    let world = World::new();
    let loose = |n: usize| Message::new(TOPIC, "{}").with_header(headers::ID, format!("loose-{n}"));
    world.broker.script(|message| match id_of(message) {
        "loose-3" => Fate::Rejected,
        _ => Fate::Taken,
    });
    world.outbox.write((0..10).map(loose));
    let relay = Running::start(world.relay());
    until("all have left", || world.outbox.pending_count() == 0).await;
    assert_eq!((world.broker.taken_count(), world.outbox.rejected_count()), (9, 1));
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_event_is_rejected_and_blocks_only_its_key() {
    let world = World::new();
    let keys = neighbours(2);
    let unreadable = format!("{}-1", keys[0]);
    world.outbox.with(|state| state.unreadable.extend([unreadable, "loose".to_owned()]));
    world.outbox.write([Message::new(TOPIC, "{}").with_header(headers::ID, "loose")]);
    for n in 0..10 {
        world.outbox.write(keys.iter().map(|key| order(key, n)));
    }
    let relay = Running::start(world.relay());
    until("all have left", || world.outbox.pending_count() == 0).await;
    let behind: Vec<String> = (1..10).map(|n| format!("{}-{n}", keys[0])).collect();
    assert_eq!(world.outbox.rejected_of(TOPIC, &keys[0]), behind);
    let taken = world.broker.taken();
    assert_eq!(firsts_of(&taken, TOPIC, &keys[0]), [0]);
    assert_eq!(firsts_of(&taken, TOPIC, &keys[1]), (0..10).collect::<Vec<_>>());
    let stats = relay.stats.read();
    assert_eq!((stats.rejected, stats.set_aside, stats.repeated), (2, 10, 0));
    assert!(stats.paused.is_empty() && stats.database.is_none(), "it is no outage: {stats:?}");

    // A retry without a repair sets it aside at its previous position again.
    world.outbox.retry(&(TOPIC.into(), keys[0].clone().into()));
    until("all have left again", || world.outbox.pending_count() == 0).await;
    assert_eq!(world.outbox.rejected_of(TOPIC, &keys[0]), behind);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_the_broker_is_not_sent() {
    let world = World::new();
    let mut large = order("k", 1);
    large.payload = vec![b' '; 10_001].into();
    let mut fits = order("j", 0);
    fits.payload = vec![b' '; 10_000].into();
    world.outbox.write([order("k", 0), large, order("k", 2), fits]);
    let relay = Running::start(world.relay());
    until("all have left", || world.outbox.pending_count() == 0).await;
    let mut ids = world.broker.taken_ids();
    ids.sort();
    assert_eq!(ids, ["j-0", "k-0"]);
    assert_eq!(world.outbox.rejected_of(TOPIC, "k"), ["k-1", "k-2"]);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rejected_event_that_cannot_be_recorded_blocks_its_key() {
    let world = World::new();
    world.broker.script(|message| if id_of(message) == "k-1" { Fate::Rejected } else { Fate::Taken });
    world.outbox.set_set_asides_down(true);
    world.write_keys(1, 0);
    world.outbox.write((0..5).map(|n| order("k", n)));
    let relay = Running::start(world.relay());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.broker.taken_ids(), ["k-0"]);
    assert_eq!(relay.stats.read().paused.len(), 1);
    world.outbox.set_set_asides_down(false);
    until("all have left", || world.outbox.pending_count() == 0).await;
    assert_eq!(world.outbox.rejected_of(TOPIC, "k"), ["k-1", "k-2", "k-3", "k-4"]);
    relay.stop().await.unwrap();
}
