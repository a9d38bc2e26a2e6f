//! Full queues, while other queues accept messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::headers;
use tokio::time::Instant;

use crate::broker::Fate;
use crate::fixture::{Running, World, firsts_of, order, until};

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_asked_seldom_and_other_keys_go_on() {
    let world = World::new(1);
    let attempts: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let (noted, room) = (Arc::clone(&attempts), Arc::new(Mutex::new(false)));
    let has_room = Arc::clone(&room);
    world.broker.script(move |message| {
        let id = message.headers.text(headers::ID).unwrap();
        if id.starts_with("full") && !*has_room.lock().unwrap() {
            *noted.lock().unwrap().entry(id.to_owned()).or_default() += 1;
            return Fate::Nacked;
        }
        Fate::Taken
    });
    for n in 0..5 {
        world.publish((0..20).map(|key| order(&format!("full{key}"), n))).await;
        world.publish((0..20).map(|key| order(&format!("k{key}"), n))).await;
    }
    let running = Running::start(world.bridge());
    until("the other keys are there", || running.stats.read().forwarded == 100).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(300) {
        let stats = running.stats.read();
        assert_eq!(stats.blocked, None, "the broker answers");
        let full = stats.full.expect("messages wait for room all the time");
        assert_eq!(full.error, "queue is full");
        assert!(full.since >= began.elapsed(), "{full:?} after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let attempts = attempts.lock().unwrap().clone();
    assert_eq!(attempts.len(), 20, "only the first of each key was sent: {attempts:?}");
    // Delays of 1, 2, 4, 8, 16 and 30 seconds, each shortened by up to a half: 6 in the first 16 s, then every 15 s.
    assert!(attempts.values().all(|count| (3..=26).contains(count)), "{attempts:?}");

    *room.lock().unwrap() = true;
    let over = Instant::now();
    until("all are settled", || world.committed() == 200).await;
    assert!(over.elapsed() <= Duration::from_secs(31), "{:?}", over.elapsed());
    until("there is room", || running.stats.read().full.is_none()).await;
    let ids = world.broker.taken_ids();
    assert_eq!(ids.len(), 200);
    for key in 0..20 {
        assert_eq!(firsts_of(&ids, &format!("full{key}")), [0, 1, 2, 3, 4]);
    }
    running.stop().await.unwrap();
}

/// A nearly full queue accepts and refuses messages in turn: that is one state, not many.
#[tokio::test(start_paused = true)]
async fn a_queue_on_the_brink_is_full_all_the_time_and_then_no_more() {
    let world = World::new(1);
    let mut count = 0;
    world.broker.script(move |_| {
        count += 1;
        if count % 2 == 1 { Fate::Nacked } else { Fate::Taken }
    });
    world.publish_keys(1, 50).await;
    let running = Running::start(world.bridge());
    until("one was refused", || running.stats.read().full.is_some()).await;
    let began = Instant::now();
    while world.committed() < 50 {
        let full = running.stats.read().full.expect("it is full all the time");
        assert!(full.since >= began.elapsed(), "{full:?} after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let done = Instant::now();
    until("there is room", || running.stats.read().full.is_none()).await;
    assert!(done.elapsed() <= Duration::from_secs(21), "{:?}", done.elapsed());
    running.stop().await.unwrap();
}

/// A lost connection does not change the state of a full queue, and a full queue does not change that of the
/// connection.
#[tokio::test(start_paused = true)]
async fn an_outage_and_a_full_queue_are_reported_separately() {
    let world = World::new(1);
    world.broker.script(|message| match message.headers.text(headers::ID).unwrap().starts_with("full") {
        true => Fate::Nacked,
        false => Fate::Away,
    });
    world.publish([order("full", 0)]).await;
    let running = Running::start(world.bridge());
    until("the queue is full", || running.stats.read().full.is_some()).await;
    assert_eq!(running.stats.read().blocked, None);
    world.publish([order("k", 0)]).await;
    until("the broker is away", || running.stats.read().blocked.is_some()).await;
    assert!(running.stats.read().full.is_some());
    world.broker.script(|_| Fate::Taken);
    until("all are settled", || world.committed() == 2).await;
    until("all is well", || running.stats.read().full.is_none() && running.stats.read().blocked.is_none())
        .await;
    running.stop().await.unwrap();
}
