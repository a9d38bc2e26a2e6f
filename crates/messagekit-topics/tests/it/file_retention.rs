//! What a file deletes beside the records, and what keeps them there.

use std::time::Duration;

use messagekit::Store;
use messagekit::cleanup::{Retention, clean};
use messagekit_sqlite::{SqliteOptions, SqliteStore};
use messagekit_topics::{RetentionRule, Topic, Topics};
use serde_json::Value;
use tempfile::TempDir;

use crate::retention::{WEEK, append, ids};

/// No test is about the time of a transaction, and machines are slow.
const PATIENT: Duration = Duration::from_secs(60);

struct File {
    _folder: TempDir,
    topics: Topics<SqliteStore>,
}

impl File {
    async fn with(options: SqliteOptions) -> Self {
        let folder = TempDir::new().unwrap();
        let store = options.transaction_timeout(PATIENT).open(folder.path().join("topics.db")).await.unwrap();
        Self { _folder: folder, topics: Topics::of(store) }
    }

    async fn items(&self, rule: RetentionRule) -> Topic<Value, SqliteStore> {
        self.topics.untyped("items").dedup(["n"]).retention(rule).open().await.unwrap()
    }

    /// Lets a week pass for all records that are there.
    async fn pass_a_week(&self) {
        self.sql("UPDATE messagekit_topic_records SET created_at = created_at - 604800000001").await;
    }

    async fn sql(&self, sql: &'static str) {
        let store = self.topics.store();
        let mut tx = store.begin().await.unwrap();
        tx.call(move |c| c.execute(sql, [])).await.unwrap();
        store.commit(tx).await.unwrap();
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let store = self.topics.store();
        let mut tx = store.begin().await.unwrap();
        let number = tx.call(move |c| c.query_row(sql, [], |row| row.get(0))).await.unwrap();
        store.commit(tx).await.unwrap();
        number
    }
}

#[tokio::test]
async fn markers_go_with_their_records_but_not_those_of_a_copy() {
    let file = File::with(SqliteStore::options()).await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=3).await;
    for id in 1..=3 {
        items.set_handled(id).await.unwrap();
    }
    file.pass_a_week().await;
    // A replay appends the event again, with its id.
    append(&items, 4..=4).await;
    let markers = "SELECT count(*) FROM messagekit_processed_messages";
    assert_eq!(file.number(markers).await, 0);
    items.set_handled(4).await.unwrap();
    append(&items, 5..=5).await;
    file.sql(
        "UPDATE messagekit_topic_records SET event_id = (SELECT event_id FROM messagekit_topic_records ORDER BY pos LIMIT 1)",
    )
    .await;
    file.sql("UPDATE messagekit_topic_records SET created_at = 0 WHERE pos = (SELECT min(pos) FROM messagekit_topic_records)")
        .await;
    assert_eq!((items.expire().await.unwrap(), file.number(markers).await), (1, 1));
}

#[tokio::test]
async fn what_a_relay_has_not_published_stays() {
    let file = File::with(SqliteStore::options().relayed_topics(["items"])).await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=4).await;
    file.sql("DELETE FROM messagekit_outbox_pending WHERE pos & 15 IN (0, 2)").await;
    file.pass_a_week().await;
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (1, vec![2, 3, 4]));
    file.sql("DELETE FROM messagekit_outbox_pending").await;
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (3, vec![]));
}

#[tokio::test]
async fn a_cleanup_deletes_by_the_rules_of_all_topics() {
    let file = File::with(SqliteStore::options()).await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    let forever = file.topics.untyped("forever").open().await.unwrap();
    let small = file.topics.untyped("small").retention(RetentionRule::of_bytes(7)).open().await.unwrap();
    append(&items, 1..=2_500).await;
    append(&forever, 1..=3).await;
    append(&small, 1..=3).await;
    file.pass_a_week().await;
    let store = file.topics.store();
    for (is_trial, removed) in [(true, 2_500), (false, 2_500), (false, 0)] {
        let report = clean(store, &Retention::default(), is_trial, std::future::pending()).await.unwrap();
        assert_eq!((report[0].removed, &report[0].kept_because), (removed, &None), "trial: {is_trial}");
    }
    assert_eq!((ids(&items).await.len(), ids(&forever).await.len(), ids(&small).await.len()), (0, 3, 1));
}

#[tokio::test]
async fn the_rows_of_deleted_ids_go_with_them() {
    let file = File::with(SqliteStore::options()).await;
    let items = file.items(RetentionRule::of_bytes(1_000)).await;
    for from in (1..=2_000).step_by(200) {
        append(&items, from..=from + 199).await;
    }
    assert_eq!(file.number("SELECT count(*) FROM messagekit_record_ids").await, 1);
}
