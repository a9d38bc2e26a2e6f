use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use messagekit::ErrorKind;

use crate::broker::Fate;
use crate::fixture::{OTHER, Running, TOPIC, World, event, firsts, firsts_of, order, until, within};

#[tokio::test(start_paused = true)]
async fn five_minute_topic_outage_stops_no_other_and_rejects_nothing() {
    const SECONDS: usize = 300;
    let world = World::new();
    let relay = Running::start(world.relay());
    world.broker.script(|message| if &*message.topic == TOPIC { Fate::Unavailable } else { Fate::Taken });
    for n in 0..SECONDS {
        world.outbox.write((0..8).flat_map(|key| {
            let key = format!("k{key}");
            [event(TOPIC, &key, n), event(OTHER, &key, n)]
        }));
        let flows = || firsts_of(&world.broker.taken(), OTHER, "k3").len() == n + 1;
        within(Duration::from_millis(60), "the other topic flows", flows).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let stats = relay.stats.read();
    assert_eq!((stats.rejected, world.outbox.rejected_count()), (0, 0), "an outage cost an event");
    let [paused] = &stats.paused[..] else { panic!("{stats:?}") };
    assert_eq!((&*paused.topic, &*paused.error), (TOPIC, "topic is full"));
    assert!(paused.since >= Duration::from_secs(SECONDS as u64 - 1), "{paused:?}");
    assert_eq!(world.outbox.pending_count(), 8 * SECONDS);

    world.broker.script(|_| Fate::Taken);
    let begun = || world.broker.taken().iter().any(|message| &*message.topic == TOPIC);
    within(Duration::from_millis(2_060), "the topic flows again", begun).await;
    until("all are published", || world.outbox.pending_count() == 0).await;
    let taken = world.broker.taken();
    for key in 0..8 {
        assert_eq!(firsts_of(&taken, TOPIC, &format!("k{key}")), (0..SECONDS).collect::<Vec<_>>());
    }
    until("no topic is paused", || relay.stats.read().paused.is_empty()).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_topic_delays_other_topics_only_briefly() {
    let world = World::new();
    let relay = Running::start(world.relay());
    world.broker.silence(&[TOPIC]);
    // Every shard has an unconfirmed event.
    world.write_keys(300, 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    for n in 0..30 {
        world.outbox.write((0..100).map(|key| event(OTHER, &format!("k{key}"), n)));
        let flows = || world.broker.taken_count() == 100 * (n + 1);
        within(Duration::from_millis(60), "the other topic flows", flows).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let stats = relay.stats.read();
    let [paused] = &stats.paused[..] else { panic!("{stats:?}") };
    assert_eq!((&*paused.topic, &*paused.error), (TOPIC, "broker does not answer"));
    assert!(stats.unconfirmed <= 4 * 500, "{stats:?}");

    world.broker.silence(&[]);
    until("all are published", || world.outbox.pending_count() == 0).await;
    assert_eq!(world.broker.taken_count(), 300 * 2 + 100 * 30, "without a fault nothing comes twice");
    let taken = world.broker.taken();
    for key in 0..300 {
        assert_eq!(firsts_of(&taken, TOPIC, &format!("k{key}")), [0, 1]);
    }
    assert_eq!(world.broker.most_of_a_key(), 1);
    until("no topic is paused", || relay.stats.read().paused.is_empty()).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_is_published_again_with_the_same_bytes() {
    let world = World::new();
    let mut count = 0;
    world.broker.script(move |_| {
        count += 1;
        match count % 25 {
            0 => Fate::TakenUnknown,
            1 => Fate::LostUnknown,
            _ => Fate::Taken,
        }
    });
    world.write_keys(20, 20);
    let relay = Running::start(world.relay());
    world.until_drained(400).await;
    let taken = world.broker.taken();
    assert!(taken.len() > 400);
    assert_eq!(firsts(&taken).len(), 400);
    for key in 0..20 {
        assert_eq!(firsts_of(&taken, TOPIC, &format!("k{key}")), (0..20).collect::<Vec<_>>());
    }
    assert!(relay.stats.read().repeated > 0);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_for_five_minutes_costs_nothing() {
    let world = World::new();
    let relay = Running::start(world.relay());
    world.write_keys(10, 5);
    world.until_drained(50).await;
    world.outbox.set_down(true);
    world.outbox.write((0..10).map(|key| order(&format!("k{key}"), 5)));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.broker.taken_count(), 50);
    world.outbox.set_down(false);
    within(Duration::from_secs(3), "the rest is published", || world.broker.taken_count() == 60).await;
    world.until_drained(60).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_starts_before_its_database_waits_for_it() {
    let world = World::new();
    world.outbox.set_down(true);
    let relay = Running::start(world.relay());
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.outbox.set_down(false);
    world.write_keys(10, 5);
    within(Duration::from_secs(3), "everything is published", || world.broker.taken_count() == 50).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn statements_that_are_never_answered_are_given_up() {
    let world = World::new();
    let relay = Running::start(world.relay());
    world.write_keys(10, 5);
    world.until_drained(50).await;
    world.outbox.set_silent(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.outbox.set_silent(false);
    world.outbox.write((0..10).map(|key| order(&format!("k{key}"), 5)));
    within(Duration::from_secs(32), "the rest is published", || world.broker.taken_count() == 60).await;
    world.until_drained(60).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn relay_does_not_republish_an_event_it_cannot_delete() {
    let world = World::new();
    let relay = Running::start(world.relay());
    world.outbox.set_deletes_down(true);
    world.write_keys(10, 5);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.broker.taken_count(), world.outbox.pending_count()), (50, 50));
    assert_eq!(relay.stats.read().undeleted, 50);
    assert!(relay.stats.read().database.is_some());
    world.outbox.set_deletes_down(false);
    world.until_drained(50).await;
    assert_eq!(world.broker.taken_count(), 50);
    relay.stop().await.unwrap();
}

/// Each attempt may add a copy to the other bound queues.
#[tokio::test(start_paused = true)]
async fn a_full_queue_is_tried_again_after_one_to_thirty_seconds() {
    let world = World::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    world.broker.script(move |message| {
        let is_full = &*message.topic == TOPIC && message.key.as_deref() == Some(b"k0");
        counted.fetch_add(usize::from(is_full), Ordering::Relaxed);
        if is_full { Fate::Full } else { Fate::Taken }
    });
    let relay = Running::start(world.relay());
    for n in 0..600 {
        world.outbox.write([event(TOPIC, "k0", n), event(TOPIC, "k1", n), event(OTHER, "k0", n)]);
        let flows = || firsts_of(&world.broker.taken(), OTHER, "k0").len() == n + 1;
        within(Duration::from_millis(60), "the other topic flows", flows).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let stats = relay.stats.read();
    assert_eq!((&*stats.paused[0].topic, &*stats.paused[0].error), (TOPIC, "queue is full"));
    let tries = tries.load(Ordering::Relaxed);
    assert!((20..=50).contains(&tries), "{tries} tries in ten minutes");
    assert_eq!((stats.rejected, world.outbox.rejected_count()), (0, 0));
    let other = firsts_of(&world.broker.taken(), TOPIC, "k1").len();
    assert!(other > 500, "the other key of the topic goes on when it is tried: {other}");

    world.broker.script(|_| Fate::Taken);
    let begun = || world.broker.taken().iter().any(|message| *message == event(TOPIC, "k0", 0));
    within(Duration::from_millis(30_060), "it flows again", begun).await;
    until("all are published", || world.outbox.pending_count() == 0).await;
    assert_eq!(firsts_of(&world.broker.taken(), TOPIC, "k0"), (0..600).collect::<Vec<_>>());
    until("no topic is paused", || relay.stats.read().paused.is_empty()).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_is_not_queried_for_each_rejected_event() {
    let world = World::new();
    let outbox = world.outbox.clone();
    let mut is_first = true;
    world.broker.script(move |_| {
        if std::mem::take(&mut is_first) {
            outbox.set_silent(true);
        }
        Fate::Rejected
    });
    world.outbox.write((0..20).map(|n| order(&format!("k{n}"), 0)));
    let relay = Running::start(world.relay());
    until("they are sent", || relay.stats.read().unconfirmed == 20).await;
    within(Duration::from_secs(31), "the part is given up", || relay.stats.read().unconfirmed == 0).await;
    world.outbox.set_silent(false);
    until("all are set aside", || world.outbox.rejected_count() == 20).await;
    relay.stop().await.unwrap();
}

/// A changed password or a broken proxy: an operator must repair it.
#[tokio::test(start_paused = true)]
async fn database_refusal_ends_a_starting_relay_but_not_a_running_one() {
    let world = World::new();
    world.outbox.break_it(ErrorKind::Other);
    let refused = Running::start(world.relay()).ended().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Other);

    world.outbox.mend();
    let relay = Running::start(world.relay());
    world.write_keys(3, 3);
    world.until_drained(9).await;
    world.outbox.break_it(ErrorKind::Other);
    until("the outage is reported", || relay.stats.read().database.is_some()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.outbox.mend();
    world.outbox.write([order("k9", 0)]);
    world.until_drained(10).await;
    until("its end is reported", || relay.stats.read().database.is_none()).await;
    world.outbox.break_it(ErrorKind::Schema);
    assert_eq!(relay.ended().await.unwrap_err().kind(), ErrorKind::Schema);
}
