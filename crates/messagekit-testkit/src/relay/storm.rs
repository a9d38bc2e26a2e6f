//! Writers that commit, roll back or delay, and relays that must skip no event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, OutboxRows, Published, Publisher};
use messagekit::relay::{OutboxReader, Relay};
use messagekit::{Error, Message, Shutdown, Store, headers};
use tokio::task::JoinHandle;

use super::fixture::{event, lease, read};
use super::{RelayFixture, TOPICS};
use crate::{DEADLINE, eventually};

/// The key and id of an event.
type Taken = (Option<Vec<u8>>, String);

/// A broker that accepts everything and keeps the order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Taken>>>);

impl Log {
    fn published(&self) -> Vec<Taken> {
        self.0.lock().expect("nobody panics").clone()
    }
}

impl Publisher for Log {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            let entry = |message: &Message| {
                let id = message.headers.text(headers::ID).expect("each event has an id").to_owned();
                (message.key.as_deref().map(<[u8]>::to_vec), id)
            };
            self.0.lock().expect("nobody panics").extend(batch.iter().map(entry));
            batch.iter().map(|_| Ok(())).collect()
        })
    }

    fn max_bytes(&self) -> usize {
        1_000_000
    }
}

const WRITERS: usize = 8;
/// The number of events of each writer.
const EACH: usize = 40;

/// Writers commit and roll back at the same time while relays join and leave. Every committed event is published, no
/// other event is, and first publications keep the order of each key.
pub async fn committed_events_are_published_and_no_others<F: RelayFixture>(fixture: &F) {
    let (log, second) = (Log::default(), fixture.second().await);
    let stays = RunningRelay::start(second.clone(), &log);
    let leaves = RunningRelay::start(fixture.store(), &log);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = if writer % 2 == 0 { fixture.store() } else { second.clone() };
            tokio::spawn(write(store, writer))
        })
        .collect();
    let mut committed = BTreeSet::new();
    for (number, writer) in writers.into_iter().enumerate() {
        committed.extend(writer.await.expect("no writer panics"));
        if number == 0 {
            leaves.shutdown.request();
        }
    }
    leaves.end().await;
    eventually("everything has left", DEADLINE, async || {
        log.published().iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len() >= committed.len()
    })
    .await;
    stays.end().await;
    let firsts = first_publications(log.published());
    assert_order_of_topics(&firsts);
    assert_eq!(firsts.into_values().flatten().collect::<BTreeSet<_>>(), committed);
    let leases = lease(&second, "look").await;
    assert_eq!((leases.held.len(), read(&second, "look", &leases).await.rows), (64, Vec::new()));
}

struct RunningRelay {
    task: JoinHandle<Result<(), Error>>,
    shutdown: Shutdown,
}

impl RunningRelay {
    fn start(store: impl OutboxReader + 'static, log: &Log) -> Self {
        let (reader, to): (Arc<dyn OutboxReader>, Arc<dyn Publisher>) =
            (Arc::new(store), Arc::new(log.clone()));
        let relay = Relay::builder("shop").reader(reader).to(to).poll(Duration::from_millis(5));
        let (relay, shutdown) = (relay.build().expect("the relay can be built"), Shutdown::new());
        Self { task: tokio::spawn(relay.run(shutdown.clone())), shutdown }
    }

    async fn end(self) {
        self.shutdown.request();
        self.task.await.expect("the relay does not panic").expect("the relay ends");
    }
}

/// Writes the events of a writer, and returns the ids of the committed ones.
async fn write<S: OutboxRows + Store>(store: S, writer: usize) -> Vec<String> {
    let mut committed = Vec::new();
    for number in 0..EACH {
        let id = format!("w{writer}-{number:03}");
        let mut tx = store.begin().await.expect("a transaction begins");
        let event = event(TOPICS[number % 2], &id, Some(&format!("w{writer}")));
        store.write(&mut tx, &[event]).await.expect("events can be written");
        match number % 10 {
            3 => store.rollback(tx).await.expect("a transaction can be rolled back"),
            6 => drop(tx),
            _ => {
                store.commit(tx).await.expect("the transaction commits");
                committed.push(id);
            }
        }
    }
    committed
}

/// The ids of each key.
type IdsOfKeys = BTreeMap<Option<Vec<u8>>, Vec<String>>;

/// Returns the ids of each key in the order of their first publication.
fn first_publications(published: Vec<Taken>) -> IdsOfKeys {
    let mut firsts = IdsOfKeys::new();
    for (key, id) in published {
        let of_key = firsts.entry(key).or_default();
        if !of_key.contains(&id) {
            of_key.push(id);
        }
    }
    firsts
}

/// Each of the two topics has its own order.
fn assert_order_of_topics(firsts: &IdsOfKeys) {
    for ids in firsts.values() {
        for odd in [0, 1] {
            let of_topic = |id: &&String| id.as_bytes().last().is_some_and(|digit| digit % 2 == odd);
            assert!(ids.iter().filter(of_topic).is_sorted(), "{ids:?}");
        }
    }
}
