//! Selections of failed messages while other transactions change them.

use std::path::Path;
use std::process::{Command, Stdio};

use messagekit::adapter::{FailedMessageRows, Failure, FailureKind, ReceivedMessage};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageSelection, FailedMessageState, FailedMessages,
    Operator,
};
use messagekit::{Message, MessageId, Store, headers};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::block_on;
use messagekit_tests::locks::until_one_waits;
use serde_json::{Value, json};

use crate::shop::Shop;

/// Sets a message aside as dead, and leaves the transaction open.
async fn set_aside(shop: &Shop, tx: &mut PgTx) {
    let id = MessageId::new();
    let message = Message::new("orders.order", "{}").with_header(headers::ID, id.as_str().to_owned());
    let received = ReceivedMessage { id, message, position: None };
    let failure = Failure::permanent(FailureKind::Permanent, "no stock");
    shop.store.set_aside(tx, &shop.consumer, &received, &failure).await.unwrap();
}

async fn some_dead(shop: &Shop, count: usize) {
    let mut tx = shop.store.begin().await.unwrap();
    for _ in 0..count {
        set_aside(shop, &mut tx).await;
    }
    shop.store.commit(tx).await.unwrap();
}

fn dead() -> FailedMessageFilter {
    FailedMessageFilter { state: Some(FailedMessageState::Dead), ..FailedMessageFilter::default() }
}

async fn select(store: &PostgresStore, filter: FailedMessageFilter) -> FailedMessageSelection {
    let mut selection = FailedMessageSelection::new(filter);
    while let Some(next) = selection.next_page() {
        selection.add(&store.versions(&next, FailedMessageSelection::PAGE).await.unwrap()).unwrap();
    }
    selection
}

/// Takes a message as an operator does who discards it and brings it back: it is dead as before.
async fn change(tx: &mut PgTx, id: i64) {
    let update =
        "UPDATE messagekit.failed_messages SET token = token + 2, reason = 'discard_undone' WHERE id = $1";
    sqlx::query(update).bind(id).execute(&mut **tx).await.unwrap();
}

#[test]
fn message_that_commits_late_inside_a_selection_is_seen() {
    block_on(async {
        let shop = Shop::open().await;
        some_dead(&shop, 1).await;
        let mut late = shop.store.begin().await.unwrap();
        set_aside(&shop, &mut late).await;
        some_dead(&shop, 2).await;
        let counted = select(&shop.store, dead()).await;
        let ids = shop.store.ids(&dead(), 10).await.unwrap();
        assert_eq!(ids.len(), 3);

        // One of them leaves, and one with a smaller number than the greatest comes.
        let by = Operator::new("ann", "http");
        shop.store.act(Action::Retry, &ids[1..2], &by).await.unwrap();
        shop.store.commit(late).await.unwrap();
        let until = FailedMessageFilter { before: Some(counted.until_id() + 1), ..dead() };
        let now = select(&shop.store, until).await;
        assert_eq!((now.count(), now.until_id()), (counted.count(), counted.until_id()));
        assert!(now.confirm(3, &counted.digest()).is_err(), "the swap is seen");
    });
}

#[test]
fn message_held_by_another_transaction_is_compared_afterwards() {
    block_on(async {
        let shop = Shop::open().await;
        some_dead(&shop, 3).await;
        let ids = shop.store.ids(&dead(), 10).await.unwrap();
        for (action, filter) in [(Action::Discard, dead()), (Action::Undo, FailedMessageFilter::default())] {
            let counted = select(&shop.store, filter).await;
            let mut rival = shop.store.begin().await.unwrap();
            change(&mut rival, ids[1]).await;
            let store = shop.store.clone();
            let acting = tokio::spawn(async move {
                let batch = counted.batches(10).next().unwrap();
                store.act_on_selection(action, None, batch, &Operator::new("ann", "http")).await.unwrap()
            });
            until_one_waits(shop.store.pool()).await;
            shop.store.commit(rival).await.unwrap();
            let expected = [ActionResult::Done, ActionResult::Changed, ActionResult::Done];
            assert_eq!(acting.await.unwrap(), expected, "{action}");
            assert_eq!(shop.store.show(ids[1]).await.unwrap().state, FailedMessageState::Dead, "{action}");
        }
        let outcomes = "SELECT outcome::text FROM messagekit.admin_audit ORDER BY id";
        let told: Vec<String> = sqlx::query_scalar(outcomes).fetch_all(shop.store.pool()).await.unwrap();
        assert_eq!(
            told,
            [format!("{{\"{}\": \"changed\"}}", ids[1]), format!("{{\"{}\": \"changed\"}}", ids[1])]
        );
    });
}

#[test]
fn what_changed_under_the_command_is_skipped() {
    block_on(async {
        let shop = Shop::open().await;
        some_dead(&shop, 603).await;
        let ids = shop.store.ids(&dead(), 1_000).await.unwrap();
        // In the second transaction of the command.
        let changed = ids[550];
        let mut rival = shop.store.begin().await.unwrap();
        change(&mut rival, changed).await;
        let url = shop.database.url().to_owned();
        let command = tokio::task::spawn_blocking(move || {
            let path = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("messagekit");
            let mut command = Command::new(path);
            command.args(["dlq", "discard", "--kind", "permanent", "--yes", "--json", "--database", &url]);
            command.stdin(Stdio::null()).output().expect("messagekit is built")
        });
        until_one_waits(shop.store.pool()).await;
        shop.store.commit(rival).await.unwrap();
        let output = command.await.unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let text = format!("failed message {changed} has changed since it was selected: select again");
        let expected =
            json!({"selected": 603, "done": 602, "skipped": 1, "refused": [{"id": changed, "text": text}]});
        assert_eq!((output.status.code(), told), (Some(1), expected));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("1 of 603 not accepted"), "{error}");
        assert_eq!(shop.store.ids(&dead(), 10).await.unwrap(), [changed], "it was not touched");
    });
}
