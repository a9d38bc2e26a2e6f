//! `messagekit replay`.

use std::path::PathBuf;
use std::time::Duration;

use messagekit::{Event, Outbox, Store};
use messagekit_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{Answer, on};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.cancelled", key = "order_id")]
struct OrderCancelled {
    order_id: String,
}

struct Shop {
    folder: TempDir,
}

impl Shop {
    /// Creates a file with `placed` orders of keys o-0, o-1, o-2, … and one that was cancelled.
    async fn with(placed: usize) -> Self {
        let shop = Self { folder: TempDir::new().unwrap() };
        // On a busy machine, the events may hold the lock for longer than usual.
        let options = SqliteStore::options().transaction_timeout(Duration::from_secs(60));
        let store = options.open(shop.file()).await.unwrap();
        let outbox = Outbox::new(store.clone(), "order-service").unwrap();
        let mut tx = store.begin().await.unwrap();
        let orders = (0..placed).map(|number| OrderPlaced { order_id: format!("o-{number}") });
        outbox.add_all(&mut tx, orders).await.unwrap();
        outbox.add(&mut tx, OrderCancelled { order_id: "o-0".to_owned() }).await.unwrap();
        outbox.commit(tx).await.unwrap();
        store.close().await.unwrap();
        shop
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        on(&self.file(), &[&["replay"], arguments].concat())
    }

    fn events(&self, arguments: &[&str]) -> Vec<Value> {
        let answer = self.run(&[&["events", "--json"], arguments].concat()).json();
        answer["events"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn replayable_events_are_listed_oldest_first_filtered_and_paged() {
    let shop = Shop::with(5).await;
    let keys = |arguments: &[&str]| -> Vec<String> {
        shop.events(arguments).iter().map(|event| event["key"]["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&["--type", "orders.order.placed"]), ["o-0", "o-1", "o-2", "o-3", "o-4"]);
    assert_eq!(keys(&["--key", "o-0"]), ["o-0", "o-0"]);
    assert_eq!(keys(&["--topic", "orders.order"]).len(), 6);
    assert_eq!(keys(&["--topic", "orders.bill"]).len(), 0);
    assert_eq!(keys(&["--from", "1h"]).len(), 6);
    assert_eq!(keys(&["--to", "2020-01-01"]).len(), 0);

    let first = shop.run(&["events", "--json", "--limit", "4"]).json();
    let position = first["next"].as_str().unwrap();
    assert_eq!((first["events"].as_array().unwrap().len(), keys(&["--after", position]).len()), (4, 2));
    let table = shop.run(&["events", "--limit", "4"]).text();
    assert!(
        table.contains("orders.order.placed") && table.contains(&format!("more: --after {position}")),
        "{table}"
    );
    assert_eq!(shop.run(&["events", "--key", "nobody"]).text(), "no events\n");
}

#[tokio::test]
async fn a_count_says_what_a_replay_would_do_and_does_nothing() {
    let shop = Shop::with(5).await;
    assert_eq!(shop.run(&["count", "--type", "orders.order.placed"]).text(), "5 events\n");
    assert_eq!(
        shop.run(&["count", "--json"]).json(),
        json!({ "database": "shop", "events": 6, "skipped_by": [], "too_old_for": [] })
    );
    assert_eq!(shop.run(&["list"]).text(), "no replays\n");
    shop.run(&["count", "--from", "2020-01-01"]).refused(1, &["oldest", "20"]);
}

#[tokio::test]
async fn replay_without_an_admin_republishes_every_chosen_event() {
    let shop = Shop::with(1_203).await;
    let asked = shop.run(&["start", "--type", "orders.order.placed"]);
    assert_eq!((asked.code, &*asked.out), (2, "1,203 events\n"));
    asked.explained(&["publish 1,203 events again", "--yes"]);
    assert_eq!(shop.run(&["list"]).text(), "no replays\n");

    let nothing = shop.run(&["start", "--type", "orders.order.returned"]).text();
    assert_eq!(nothing, "no event is chosen: nothing was done\n");

    let said = shop.run(&["start", "--type", "orders.order.placed", "--yes"]).text();
    assert_eq!(said, "replay 1 is done: 1,203 of 1,203 events published\n");
    let placed = shop.events(&["--key", "o-7"]);
    assert_eq!((placed.len(), &placed[0]["copies"]), (1, &json!(1)), "a copy is no event of its own");

    let renamed = shop.run(&["start", "--key", "o-0", "--ids", "new", "--yes", "--json"]).json();
    assert_eq!(
        (&renamed["state"], &renamed["published"], &renamed["ids"], &renamed["filter"]["key"]),
        (&json!("done"), &json!(2), &json!("new"), &json!("o-0"))
    );
    let ids: Vec<Value> =
        shop.events(&["--key", "o-0"]).iter().map(|event| event["event_id"].clone()).collect();
    assert_eq!(ids.len(), 4, "under new ids they are events of their own: {ids:?}");

    let list = shop.run(&["list", "--json"]).json();
    let jobs: Vec<&Value> = list["replays"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
    assert_eq!(jobs, [&json!(2), &json!(1)]);
    let older = shop.run(&["list", "--json", "--before", "2"]).json();
    assert_eq!(older["replays"][0]["id"], 1);
    let table = shop.run(&["list", "--limit", "1"]).text();
    for text in ["key o-0", "done", "new", "more: --before 2"] {
        assert!(table.contains(text), "{text:?} is missing:\n{table}");
    }
}

#[tokio::test]
async fn a_detached_replay_waits_and_can_be_followed_or_cancelled() {
    let shop = Shop::with(3).await;
    let said = shop.run(&["start", "--all", "--yes", "--detach", "--per-second", "1000"]).text();
    assert!(said.starts_with("replay 1 is running: 0 of 4 events published; it goes on where"), "{said}");
    assert_eq!(shop.events(&["--key", "o-1"])[0]["copies"], 0);
    let followed = shop.run(&["show", "1", "--follow"]).text();
    assert!(followed.starts_with("replay 1 is done: 4 of 4 events published\n"), "{followed}");
    assert!(followed.contains("to 20") && followed.contains("at most 1000 in a second"), "{followed}");

    shop.run(&["start", "--all", "--yes", "--detach"]).text();
    let order = shop.run(&["show", "2", "--json"]).json();
    assert!(order["filter"]["to"].is_string(), "it ends where it was counted: {order}");
    let cancelled = shop.run(&["cancel", "2"]).text();
    assert_eq!(cancelled, "replay 2 was cancelled: 0 of 4 events published\n");
    shop.run(&["cancel", "2"]).refused(1, &["cancelled"]);
    let followed = shop.run(&["show", "2", "--follow"]);
    assert_eq!(followed.code, 1, "{followed:?}");
    followed.explained(&["replay 2 was cancelled"]);
    assert_eq!(shop.run(&["show", "2", "--json"]).json()["state"], "cancelled");
}

#[tokio::test]
async fn mistakes_are_one_line() {
    let shop = Shop::with(1).await;
    for show in ["show", "cancel"] {
        shop.run(&[show, "7"]).refused(1, &["7"]);
        shop.run(&[show, "first"]).refused(2, &["first"]);
        shop.run(&[show]).refused(2, &["<ID>"]);
    }
    shop.run(&["start", "--yes"]).refused(2, &["--type", "--all"]);
    shop.run(&["start", "--all", "--ids", "old"]).refused(2, &["write same or new"]);
    shop.run(&["start", "--all", "--per-second", "0"]).refused(2, &["--per-second"]);
    shop.run(&["start", "--all", "--yes", "--from", "2020-01-01"]).refused(1, &["oldest"]);
    shop.run(&["events", "--after", "here"]).refused(2, &["write what the page before has printed"]);
    shop.run(&["events", "--limit", "0"]).refused(2, &["1..=1000"]);
    shop.run(&["count", "--from", "soon"]).refused(2, &["2h for two hours ago"]);
    shop.run(&["list", "--limit", "0"]).refused(2, &["1..=1000"]);
}
