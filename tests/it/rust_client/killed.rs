//! A server that is killed and started again while consumers use it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::Shutdown;
use messagekit_client::Message;
use tokio::net::TcpListener;

use super::shop::{Shop, end_of, number};

const RECORDS: i64 = 200;

/// What handlers have done, under the ids of the events: a second time it is nothing.
#[derive(Default)]
struct Effects {
    done: BTreeMap<String, i64>,
    calls: usize,
    /// What was settled before the last kill.
    settled: i64,
}

impl Effects {
    /// Applies the effect of a record, and kills the server in the middle of two of them.
    fn apply(&mut self, shop: &Shop, message: &Message) {
        let offset = message.offset();
        assert!(offset >= self.settled, "{offset} came again, and all before {} was settled", self.settled);
        self.calls += 1;
        if [50, 120].contains(&self.calls) {
            self.settled = shop.settled();
            assert!(self.settled > 0, "a kill meets acknowledged records");
            shop.served.kill();
        }
        self.done.entry(message.event_id().unwrap().to_owned()).or_insert(number(message));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rust_consumers_lose_nothing_when_their_server_is_killed() {
    let shop = Arc::new(Shop::with(RECORDS).await);
    let (effects, shutdown) = (Arc::new(Mutex::new(Effects::default())), Shutdown::new());
    let run = || {
        let (shop, effects, stop) = (shop.clone(), effects.clone(), shutdown.clone());
        let consumer = shop.consumer().limit(10).lease(Duration::from_secs(3));
        let handler = move |message| {
            let mut effects = effects.lock().unwrap();
            // A kill blocks the thread.
            tokio::task::block_in_place(|| effects.apply(&shop, &message));
            if effects.done.len() == usize::try_from(RECORDS).unwrap() {
                stop.request();
            }
            std::future::ready(Ok::<_, io::Error>(()))
        };
        end_of(consumer.run(handler, shutdown.clone()))
    };
    let (one, two) = tokio::join!(run(), run());
    one.and(two).unwrap();
    assert!(shop.failed_messages().await.is_empty());
    let effects = effects.lock().unwrap();
    assert_eq!(effects.done.values().copied().collect::<BTreeSet<_>>(), (0..RECORDS).collect());
    assert!(effects.settled > 0 && effects.calls >= effects.done.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_costs_no_attempt_and_ends_by_itself() {
    let shop = Shop::with(1).await;
    let address = shop.served.url().trim_start_matches("http://").to_owned();
    shop.served.end();
    let (shutdown, seen) = (Shutdown::new(), Arc::new(Mutex::new(Vec::new())));
    let (stop, attempts) = (shutdown.clone(), seen.clone());
    let handler = move |message: Message| {
        attempts.lock().unwrap().push(message.attempt());
        stop.request();
        std::future::ready(Ok::<_, io::Error>(()))
    };
    // In the meantime another program listens there, and cuts each line.
    let other = TcpListener::bind(&address).await.unwrap();
    let run = tokio::spawn(end_of(shop.consumer().run(handler, shutdown)));
    for _ in 0..3 {
        drop(other.accept().await.unwrap());
    }
    drop(other);
    shop.served.start_again();
    run.await.unwrap().unwrap();
    assert_eq!(*seen.lock().unwrap(), [1]);
    assert_eq!((shop.lag(), shop.settled()), (0, 1));
}
