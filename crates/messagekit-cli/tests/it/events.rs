//! `messagekit events` and `messagekit outbox list`.

use std::path::PathBuf;
use std::time::Duration;

use messagekit::relay::{OutboxReader, Rejection, ShardRead};
use messagekit::{Envelope, Error, ErrorKind, Event, MessageId, Outbox, Store};
use messagekit_sqlite::{SqliteOptions, SqliteStore};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{AWAY, Answer, messagekit, on};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.sent", key = "order_id")]
struct BillSent {
    order_id: String,
}

/// Two services with a file each; the event of the second was caused by that of the first.
struct Services {
    folder: TempDir,
    placed: MessageId,
    sent: MessageId,
}

impl Services {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let shop = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        let placed = Envelope::new(OrderPlaced { order_id: "o-1".to_owned() });
        let placed = add(&shop, placed).await;
        let billing = SqliteStore::open(folder.path().join("billing.db")).await.unwrap();
        let mut sent = Envelope::new(BillSent { order_id: "o-1".to_owned() });
        sent.correlation_id = Some(placed.clone());
        sent.causation_id = Some(placed.clone());
        let sent = add(&billing, sent).await;
        Self { folder, placed, sent }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command on both.
    fn run(&self, arguments: &[&str]) -> Answer {
        let url = |name: &str| format!("sqlite:{}", self.file(name).display());
        let databases = [url("shop.db"), format!("bills={}", url("billing.db"))];
        let databases = databases.iter().flat_map(|url| ["--database", url]);
        messagekit(
            &["events"].into_iter().chain(arguments.iter().copied()).chain(databases).collect::<Vec<_>>(),
        )
    }
}

async fn add<E: Event>(store: &SqliteStore, event: Envelope<E>) -> MessageId {
    let outbox = Outbox::new(store.clone(), "a-service").unwrap();
    let mut tx = store.begin().await.unwrap();
    let id = outbox.add(&mut tx, event).await.unwrap();
    outbox.commit(tx).await.unwrap();
    store.clone().close().await.unwrap();
    id
}

#[tokio::test]
async fn event_is_followed_through_two_databases() {
    let services = Services::start().await;
    let (placed, sent) = (services.placed.to_string(), services.sent.to_string());
    let shown = services.run(&["show", &placed, "--json"]).json();
    assert_eq!(shown["databases"][0]["database"], "shop");
    assert_eq!(shown["databases"][0]["event"]["publication"]["state"], "published");
    assert_eq!(
        (&shown["effects"][0]["event"]["event_id"], &shown["effects"][0]["event"]["database"]),
        (&json!(sent), &json!("bills"))
    );

    let lines = services.run(&["show", &sent]).text();
    for part in [
        "in database bills",
        "billing.bill.sent",
        "caused by, the nearest first",
        &placed,
        "publication    published",
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    services.run(&["show", "e-unknown"]).refused(1, &["no database knows this event"]);
}

#[tokio::test]
async fn events_are_found_by_correlation_key_type_and_time() {
    let services = Services::start().await;
    let placed = services.placed.to_string();
    let ids = |found: Value| -> Vec<Value> {
        found["events"].as_array().unwrap().iter().map(|event| event["event_id"].clone()).collect()
    };
    let both = [json!(placed), json!(services.sent.to_string())];
    assert_eq!(ids(services.run(&["find", "--correlation", &placed, "--json"]).json()), both);
    assert_eq!(ids(services.run(&["find", "--key", "o-1", "--json"]).json()), both);
    assert_eq!(
        ids(services.run(&["find", "--type", "billing.bill.sent", "--since", "1h", "--json"]).json()),
        both[1..]
    );
    assert!(services.run(&["find", "--key", "o-1"]).text().contains("billing.bill.sent"));
    assert_eq!(services.run(&["find", "--key", "o-2"]).text(), "no events\n");
    assert!(services.run(&["find", "--key", "o-1", "--limit", "1"]).text().contains("more: --limit"));
}

#[tokio::test]
async fn silent_database_is_named_and_the_others_answer() {
    let services = Services::start().await;
    let url = format!("sqlite:{}", services.file("shop.db").display());
    let away = format!("away=postgres://me@{AWAY}/away");
    let id = services.placed.to_string();
    let shown =
        messagekit(&["events", "show", &id, "--json", "--database", &url, "--database", &away]).json();
    assert_eq!(shown["unreachable"][0]["database"], "away");
    assert_eq!(shown["databases"][0]["database"], "shop");
    messagekit(&["events", "show", &id, "--database", &url, "--database", &url])
        .refused(2, &["two databases shop"]);
    messagekit(&["events", "show", &id]).refused(2, &["--database"]);
}

#[tokio::test]
async fn unpublished_events_are_listed_with_what_they_wait_for() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let store = SqliteOptions::default().relayed_topics(["orders.order"]).open(&file).await.unwrap();
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    let mut tx = store.begin().await.unwrap();
    let pending = outbox.add(&mut tx, OrderPlaced { order_id: "o-1".to_owned() }).await.unwrap();
    let later = OrderPlaced { order_id: "o-2".to_owned() };
    let later = outbox.add_after(&mut tx, later, Duration::from_secs(86_400)).await.unwrap();
    outbox.commit(tx).await.unwrap();
    store.close().await.unwrap();

    let listed = on(&file, &["outbox", "list", "--json"]).json();
    let seen =
        |at: usize| (listed["events"][at]["event_id"].clone(), listed["events"][at]["is_delayed"].clone());
    assert_eq!(seen(0), (json!(pending.to_string()), json!(false)));
    assert_eq!(seen(1), (json!(later.to_string()), json!(true)));
    assert_eq!((&listed["events"][0]["key"], &listed["is_cut"]), (&json!({"text": "o-1"}), &json!(false)));
    let lines = on(&file, &["outbox", "list"]).text();
    assert!(lines.contains("for ") && lines.contains("until "), "{lines}");
    assert!(on(&file, &["outbox", "list", "--limit", "1"]).text().contains("there are more"));

    let shown = on(&file, &["events", "show", later.as_str(), "--json"]).json();
    assert_eq!(shown["databases"][0]["event"]["publication"]["state"], "delayed");
    let shown = on(&file, &["events", "show", pending.as_str(), "--json"]).json();
    assert_eq!(shown["databases"][0]["event"]["publication"]["state"], "pending");
    assert_eq!(
        shown["databases"][0]["publisher"],
        json!({"mode": "relay", "has_relay": false, "confirmed_at": null})
    );
}

#[tokio::test]
async fn rejected_events_are_named_where_nothing_is_pending() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let store = SqliteOptions::default().relayed_topics(["orders.order"]).open(&file).await.unwrap();
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    assert_eq!(on(&file, &["outbox", "list"]).text(), "no event is pending\n");
    let mut tx = store.begin().await.unwrap();
    for _ in 0..2 {
        outbox.add(&mut tx, OrderPlaced { order_id: "o-1".to_owned() }).await.unwrap();
    }
    outbox.commit(tx).await.unwrap();
    let leases = store.lease("relay", Duration::from_secs(600)).await.unwrap();
    let all: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    let pending = store.pending("relay", &all, &[], &[], 10).await.unwrap();
    let first = &pending.rows[0];
    let lease = *leases.held.iter().find(|lease| lease.shard == first.shard).unwrap();
    let error = Some(Error::new(ErrorKind::TooLarge, "too large for its topic"));
    store.set_aside("relay", &Rejection { lease, entry: first.entry(), error }).await.unwrap();
    store.close().await.unwrap();
    let lines = on(&file, &["outbox", "list"]).text();
    assert!(lines.starts_with("no event is pending\n1 event is rejected"), "{lines}");
    assert!(lines.contains("messagekit outbox rejected list"), "{lines}");
}
