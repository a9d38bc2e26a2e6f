//! How followers hear of commits: one listening connection per store, notices after the commit, and looks for writers that send none.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt};
use messagekit::ErrorKind;
use messagekit_postgres::PostgresStore;
use messagekit_postgres::sqlx::postgres::PgListener;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use messagekit_topics::{Topic, Topics};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::timeout;

pub(super) const TOPIC: &str = "shop.parcel";

async fn parcels(store: &PostgresStore) -> Topic<Value, PostgresStore> {
    Topics::of(store.clone()).untyped(TOPIC).open().await.unwrap()
}

/// Writes as a program does that knows nothing of us.
pub(super) async fn insert(connection: &mut PgConnection, id: &str, due: &str) {
    let insert = format!(
        "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
         VALUES ('{id}', '{TOPIC}', '{{\"id\": \"{id}\"}}', {due})"
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(connection).await.unwrap();
}

/// The sessions that look: (process, start of the last look).
async fn looking(connection: &mut PgConnection) -> Vec<(i32, String)> {
    let select = "SELECT pid, query_start::text FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND (query LIKE '%pg_current_snapshot%' OR query LIKE 'LISTEN%')";
    sqlx::query_as(select).fetch_all(connection).await.unwrap()
}

/// The last statements of all sessions but those that look, and that of the test.
pub(super) async fn others(connection: &mut PgConnection) -> BTreeSet<(i32, String)> {
    let select = "SELECT pid, query_start::text FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND query_start IS NOT NULL
          AND query NOT LIKE '%pg_current_snapshot%' AND query NOT LIKE 'LISTEN%'";
    sqlx::query_as(select).fetch_all(connection).await.unwrap().into_iter().collect()
}

/// Waits until the one session that looks has looked some times more.
pub(super) async fn looks(connection: &mut PgConnection, times: usize) {
    let mut seen = BTreeSet::new();
    let until = tokio::time::Instant::now() + DEADLINE;
    while seen.len() <= times {
        assert!(tokio::time::Instant::now() < until, "watcher has stopped looking");
        seen.extend(looking(connection).await);
        tokio::task::yield_now().await;
    }
}

#[test]
fn idle_followers_share_one_connection_and_ask_nothing() {
    block_on(async {
        let database = Database::fresh().await;
        let (store, mut look) = (database.store().await, database.connection().await);
        let kept = parcels(&store).await;
        kept.append(&json!({ "id": "first" })).await.unwrap();
        let (seen, mut all_seen) = tokio::sync::mpsc::unbounded_channel();
        let followers: Vec<_> = (0..20)
            .map(|number| {
                let (mut following, seen) = (kept.named(format!("c-{number}")).follow(), seen.clone());
                tokio::spawn(async move {
                    while let Some(record) = following.next().await {
                        seen.send(record.unwrap().data).unwrap();
                    }
                })
            })
            .collect();
        for _ in &followers {
            timeout(DEADLINE, all_seen.recv()).await.unwrap().unwrap();
        }
        // Each has read once more since, and waits.
        let mut before = others(&mut look).await;
        loop {
            looks(&mut look, 5).await;
            let now = others(&mut look).await;
            if std::mem::replace(&mut before, now.clone()) == now {
                break;
            }
        }
        for number in 0..3 {
            let other = format!("CREATE TABLE public.other_{number} (id int)");
            sqlx::raw_sql(AssertSqlSafe(other)).execute(&mut look).await.unwrap();
            looks(&mut look, 5).await;
        }
        assert_eq!(others(&mut look).await, before, "commits without records wake no follower");
        assert_eq!(looking(&mut look).await.len(), 1);

        insert(&mut look, "second", "NULL").await;
        for _ in &followers {
            let data = timeout(DEADLINE, all_seen.recv()).await.unwrap().unwrap();
            assert_eq!(data["id"], "second");
        }
        followers.iter().for_each(tokio::task::JoinHandle::abort);
        let is_over = async || looking(&mut database.connection().await).await.is_empty();
        eventually("the last follower ends the connection", DEADLINE, is_over).await;
    });
}

#[test]
fn an_append_sends_a_notice_after_its_commit() {
    block_on(async {
        let database = Database::fresh().await;
        let (store, mut look) = (database.store().await, database.connection().await);
        let kept = parcels(&store).await;
        let mut listener = PgListener::connect(database.url()).await.unwrap();
        listener.listen("messagekit_commits").await.unwrap();
        for number in 1..=20_i64 {
            if number % 2 == 0 {
                kept.append(&json!({ "number": number })).await.unwrap();
            } else {
                let mut tx = messagekit::Store::begin(&store).await.unwrap();
                kept.append_in(&mut tx, &json!({ "number": number })).await.unwrap();
                messagekit::Store::commit(&store, tx).await.unwrap();
            }
            let notice = timeout(DEADLINE, listener.recv()).await.expect("a notice comes").unwrap();
            assert_eq!(notice.payload(), "messagekit");
            let there = "SELECT count(*) FROM messagekit.topic_records";
            let there: i64 = sqlx::query_scalar(there).fetch_one(&mut look).await.unwrap();
            assert!(there >= number, "a notice is later than its commit");
        }
    });
}

/// A program that ends at once has sent its notice.
#[test]
fn a_store_that_is_closed_has_sent_its_notice() {
    block_on(async {
        let database = Database::fresh().await;
        parcels(&database.store().await).await;
        let mut listener = PgListener::connect(database.url()).await.unwrap();
        listener.listen("messagekit_commits").await.unwrap();
        let store = database.store().await;
        parcels(&store).await.append(&json!({})).await.unwrap();
        store.close().await;
        timeout(DEADLINE, listener.recv()).await.expect("a notice comes").unwrap();
    });
}

#[test]
fn a_lost_listening_connection_costs_no_record() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let mut following = parcels(&store).await.follow();
        let mut writer = database.connection().await;
        for number in 0..60 {
            insert(&mut writer, &format!("e-{number}"), "NULL").await;
            for (process, _) in looking(&mut writer).await {
                let end = sqlx::query("SELECT pg_terminate_backend($1)").bind(process);
                end.execute(&mut writer).await.unwrap();
            }
            let record = timeout(DEADLINE, following.try_next()).await.expect("no commit is missed").unwrap();
            assert_eq!(record.unwrap().data["id"], format!("e-{number}"));
        }
        let waiting = tokio::spawn(async move { following.try_next().await });
        // By one connection: those that have asked and are closed may still be listed, with this question.
        eventually("it listens again", DEADLINE, async || looking(&mut writer).await.len() == 1).await;
        insert(&mut writer, "last", "NULL").await;
        let last = timeout(DEADLINE, waiting).await.unwrap().unwrap().unwrap().unwrap();
        assert_eq!(last.data["id"], "last");
    });
}

#[test]
fn an_event_that_becomes_due_wakes_a_follower() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let existing = messagekit_postgres::publishing_mode::Existing::Refuse;
        let schema = messagekit_postgres::SchemaName::default();
        messagekit_postgres::publishing_mode::to_relay(database.url(), &schema, existing, DEADLINE)
            .await
            .unwrap();
        let mut following = parcels(&store).await.follow();
        let mut writer = database.connection().await;
        insert(&mut writer, "later", "now() + interval '500 ms'").await;
        let record =
            timeout(DEADLINE, following.try_next()).await.expect("nothing else is committed").unwrap();
        assert_eq!(record.unwrap().data["id"], "later");
    });
}

#[test]
fn a_follower_of_a_closed_store_ends() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let kept = parcels(&store).await;
        kept.append(&json!({})).await.unwrap();
        let mut following = kept.follow();
        following.try_next().await.unwrap().unwrap();
        let waiting = tokio::spawn(async move { following.try_next().await });
        let is_one = async || looking(&mut database.connection().await).await.len() == 1;
        eventually("it waits", DEADLINE, is_one).await;
        store.close().await;
        let ended = timeout(DEADLINE, waiting).await.unwrap().unwrap().unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Closed);
    });
}
