//! Topics that a relay publishes from a SQLite file; the program is killed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use messagekit::adapter::OutboxRows;
use messagekit::operations::OutboxHealth;
use messagekit::{Message, Store, headers};
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{Program, command, services};
use tempfile::TempDir;

use crate::TURNS;
use crate::command::{asked, messagekit};
use crate::stage::{LIMIT, POISON, health, relay, settings};
use crate::topic::Topic;

const KEYS: usize = 8;

/// Returns how often a relay is killed while it has work.
fn kills() -> usize {
    if messagekit_tests::is_full() { 40 } else { 4 }
}

/// A file, a topic of the broker with the same name, and the committed events in the order of each key.
struct File {
    store: SqliteStore,
    topic: Topic,
    committed: BTreeMap<String, Vec<String>>,
    folder: TempDir,
}

impl File {
    async fn new() -> Self {
        let topic = Topic::make(&unique("relay"), 2, LIMIT).await;
        let folder = TempDir::new().unwrap();
        let options = SqliteStore::options().relayed_topics([topic.name.as_str()]).busy_timeout(DEADLINE);
        let store = options.transaction_timeout(DEADLINE).open(folder.path().join("shop.db")).await.unwrap();
        std::fs::write(folder.path().join("relay.toml"), settings(&services::kafka())).unwrap();
        Self { store, topic, committed: BTreeMap::new(), folder }
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("shop.db").display())
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("relay.toml")
    }

    fn relay(&self, name: &str, at: Option<&str>) -> Program {
        relay(name, &self.config(), &self.url()).crash_at(at).start()
    }

    fn event(&self, key: &str, id: &str, payload: Vec<u8>) -> Message {
        Message::new(self.topic.name.as_str(), payload)
            .with_key(key.to_owned())
            .with_header(headers::ID, id.to_owned())
    }

    /// Adds an event of each key in one transaction. Every fifth transaction is rolled back.
    async fn write(&mut self, round: usize) {
        let kept = !round.is_multiple_of(5);
        let event = |key: usize| {
            let id = format!("{}k{key}-{round}", if kept { "" } else { "gone-" });
            (format!("k{key}"), id)
        };
        let added: Vec<(String, String)> = (0..KEYS).map(event).collect();
        let events: Vec<Message> =
            added.iter().map(|(key, id)| self.event(key, id, b"{\"a\": 1}".to_vec())).collect();
        let mut tx = self.store.begin().await.unwrap();
        self.store.write(&mut tx, &events).await.unwrap();
        if !kept {
            return self.store.rollback(tx).await.unwrap();
        }
        self.store.commit(tx).await.unwrap();
        for (key, id) in added {
            self.committed.entry(key).or_default().push(id);
        }
    }

    async fn waiting(&self) -> u64 {
        self.store.lag().await.unwrap().pending
    }

    async fn until_published(&self) {
        eventually("every event has left", 2 * DEADLINE, async || self.waiting().await == 0).await;
    }

    /// Requires that the broker has exactly the committed events, with first copies in the order of each key. Returns
    /// the number of duplicates.
    fn compare(&self, but: &[&str]) -> usize {
        let mut firsts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut again = 0;
        for record in self.topic.read() {
            let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
            let ids = firsts.entry(key).or_default();
            match ids.contains(&record.id()) {
                true => again += 1,
                false => ids.push(record.id()),
            }
        }
        let mut expected = self.committed.clone();
        expected.values_mut().for_each(|ids| ids.retain(|id| !but.contains(&id.as_str())));
        expected.retain(|_, ids| !ids.is_empty());
        assert_eq!(firsts, expected);
        again
    }
}

#[test]
fn killed_relays_of_a_file_publish_all_and_keep_key_order() {
    let _turn = TURNS.together();
    block_on(async {
        let mut file = File::new().await;
        let mut relays = vec![file.relay("relay-0", None), file.relay("relay-1", None)];
        let (mut round, mut unfinished) = (0, 0);
        for kill in 0..kills() {
            let mut relay = relays.remove(0);
            let name = relay.name().to_owned();
            let address = relay.address();
            eventually("it has its share", DEADLINE, async || {
                health(&address).is_some_and(|(_, report)| report["shards"].as_u64() > Some(0))
            })
            .await;
            // More events than one read returns, to have some in flight.
            for _ in 0..100 {
                round += 1;
                file.write(round).await;
            }
            relay.kill();
            unfinished += file.waiting().await;
            relays.push(file.relay(&name, None));
            println!("kill {kill}: {unfinished} events were unfinished so far");
        }
        file.until_published().await;
        let again = file.compare(&[]);
        println!("{} rounds of {KEYS} keys; {unfinished} unfinished at kills; {again} came again", round);
        for mut relay in relays {
            relay.stop().await;
        }
    });
}

/// Crashes a relay at a point while it has work, starts another one and requires that every event arrives.
async fn dies_at(point: &str) {
    let mut file = File::new().await;
    for round in 1..=20 {
        file.write(round).await;
    }
    let mut dice = fastrand::Rng::with_seed(1);
    let large = std::iter::repeat_with(|| dice.u8(..)).take(2 * LIMIT).collect();
    let mut tx = file.store.begin().await.unwrap();
    let events = [file.event("k0", POISON, large), file.event("k0", "behind", b"{}".to_vec())];
    file.store.write(&mut tx, &events).await.unwrap();
    file.store.commit(tx).await.unwrap();
    file.committed.get_mut("k0").unwrap().extend([POISON.to_owned(), "behind".to_owned()]);
    file.relay("doomed", Some(point)).dies().await;

    let mut relay = file.relay("healthy", None);
    file.until_published().await;
    file.compare(&[POISON, "behind"]);

    let list = asked(&["outbox", "rejected", "list", "--waiting", "--json"], &file.url());
    let ids: Vec<_> = list["events"].as_array().unwrap().iter().map(|event| &event["event_id"]).collect();
    assert_eq!(ids, [POISON, "behind"], "{point}: {list}");
    let id = list["events"][0]["id"].to_string();
    let told = messagekit(&["outbox", "rejected", "discard", &id, "--yes"], &file.url());
    assert!(told.contains("it is never published; 1 that waited go on"), "{told}");
    file.until_published().await;
    file.compare(&[POISON]);
    relay.stop().await;
}

#[test]
fn a_relay_of_a_file_that_crashes_at_any_point_is_replaced() {
    let _turn = TURNS.together();
    block_on(async {
        for point in
            ["relay.leased:1", "relay.read:1", "relay.published:1", "relay.settled:1", "relay.rejected:1"]
        {
            dies_at(point).await;
        }
    });
}

#[test]
fn a_file_from_which_nothing_leaves_has_no_work_for_a_relay() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.db");
    let url = format!("sqlite:{}", path.display());
    messagekit(&["migrate"], &url);
    let mut command = command("messagekit");
    command.args(["relay", "--kafka", "127.0.0.1:9", "--listen", "127.0.0.1:0", "--database", &url]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no topic leaves this file"), "{said}");
}
