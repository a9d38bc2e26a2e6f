//! `messagekit cleanup` on a file.

use std::time::Duration;

use messagekit::Store;
use messagekit::adapter::{ClaimRequest, Markers};
use messagekit::operations::{Action, FailedMessages, Operator};
use messagekit_sqlite::SqliteStore;
use serde_json::json;

use crate::command::{messagekit, on};
use crate::console::{Console, message};

/// Creates a file with two failed messages, one of them discarded, and a marker; all are past their retention.
async fn used() -> Console {
    let console = Console::with([message(None, b"1"), message(None, b"2")]).await;
    let store = SqliteStore::open(console.file()).await.unwrap();
    store.act(Action::Discard, &[1], &Operator::new("ann", "test")).await.unwrap();
    store.note_window("billing", Some(Duration::from_secs(3_600))).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let done =
        ClaimRequest { id: "m-9".parse().unwrap(), topic: "orders.order".into(), key: None, generation: 0 };
    store.claim(&mut tx, "billing", &[done]).await.unwrap();
    tx.call(|c| {
        c.execute_batch(
            "UPDATE messagekit_processed_messages SET processed_at = 0; UPDATE messagekit_failed_messages SET changed_at = 0",
        )
    })
    .await
    .unwrap();
    store.commit(tx).await.unwrap();
    store.close().await.unwrap();
    console
}

#[tokio::test]
async fn it_removes_what_is_settled_and_says_how_much() {
    let console = used().await;
    let counted = on(&console.file(), &["cleanup", "--dry-run"]).text();
    assert!(counted.contains("would be removed") && counted.contains("records of its topics"), "{counted}");
    let cleaned = |removed: [u64; 3]| {
        let reason = "events of a file are the records of its topics, and none has a retention rule";
        json!([
            { "what": "events", "removed": removed[0], "days": 0, "kept_because": reason },
            { "what": "failed_messages", "removed": removed[1], "days": 0, "kept_because": null },
            { "what": "markers", "removed": removed[2], "days": 0, "kept_because": null },
        ])
    };
    let trial = on(&console.file(), &["cleanup", "--dry-run", "--json"]).json();
    assert_eq!((&trial["dry_run"], &trial["cleaned"]), (&json!(true), &cleaned([0, 1, 1])));
    let done = on(&console.file(), &["cleanup", "--json"]).json();
    // The marker of the discarded one is deleted too, because its failed message is deleted.
    assert_eq!((&done["dry_run"], &done["cleaned"]), (&json!(false), &cleaned([0, 1, 2])));
    let nothing = on(&console.file(), &["cleanup", "--keep-failed-messages", "1s", "--json"]).json();
    assert_eq!(
        nothing["cleaned"],
        cleaned([0, 0, 0]),
        "the other failed message is open, and so is its marker"
    );
}

#[tokio::test]
async fn what_is_kept_for_longer_stays() {
    let console = used().await;
    let done = on(&console.file(), &["cleanup", "--keep-failed-messages", "100000d", "--json"]).json();
    assert_eq!(done["cleaned"][1]["removed"], 0);
    messagekit(&["cleanup", "--keep-events", "soon", "--database", "sqlite:x"])
        .refused(2, &["--keep-events", "30d"]);
}
