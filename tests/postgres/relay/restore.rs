//! A dump that is restored on another server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use messagekit::Shutdown;
use messagekit::operations::Operator;
use messagekit::relay::RejectedEvents;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use sqlx::{Connection, PgConnection, PgPool};

use super::membership::present;
use super::outbox::{Log, Relayed, relay, write_to};
use crate::shop::run;
use messagekit_tests::Server;

/// Advances the transaction ids of the old server beyond those of a new one.
const SPEND: &str =
    "DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";

/// Runs a program of the server's own version.
async fn succeed(url: &str, name: &str, arguments: impl FnOnce(&mut Command)) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int / 10000")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let installed = format!("/usr/lib/postgresql/{version}/bin/{name}");
    let mut program = Command::new(if Path::new(&installed).exists() { &installed } else { name });
    arguments(&mut program);
    let Output { status, stderr, .. } = program.arg(url).stdin(Stdio::null()).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
}

/// Starts a second server and restores the database there.
async fn restored(database: &Database) -> (Server, PostgresStore) {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump.sql");
    succeed(database.url(), "pg_dump", |write| {
        write.arg("--file").arg(&dump);
    })
    .await;
    let server = Server::start(&[]).await;
    let url = server.url("shop");
    succeed(&url, "psql", |read| {
        read.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file"]).arg(&dump).arg("--dbname");
    })
    .await;
    let store = PostgresStore::connect(&url).await.unwrap();
    (server, store)
}

async fn last_transaction(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(pool).await.unwrap()
}

async fn pending(store: &PostgresStore) -> i64 {
    let count = "SELECT count(*) FROM messagekit.outbox_pending";
    sqlx::query_scalar(count).fetch_one(store.pool()).await.unwrap()
}

/// Publishes every ready event to a log, and then stops without cleanup.
async fn killed_when_all_is_out(relayed: &Relayed, log: &Arc<Log>) {
    let store = relayed.database.store().await;
    let running = tokio::spawn(relay(&store, log).unwrap().run(std::future::pending::<()>()));
    eventually("everything is out", DEADLINE, async || pending(&relayed.store).await == 0).await;
    running.abort();
    running.await.unwrap_err();
    drop(store);
    // Another relay follows, holds every shard for ten minutes, and renews its membership.
    let store = relayed.database.store().await;
    eventually("it has all shards", DEADLINE, async || {
        present(&store, "dead").await;
        relayed.count("SELECT count(*) FROM messagekit.relay_shards WHERE owner = 'dead'").await == 64
    })
    .await;
}

/// Returns first copies, by the key at the beginning of the id.
fn by_key(ids: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let (mut seen, mut keys) = (BTreeSet::new(), BTreeMap::<_, Vec<_>>::new());
    for id in ids.iter().filter(|id| seen.insert(*id)) {
        keys.entry(id.split_once('/').unwrap().0).or_default().push(id.as_str());
    }
    keys
}

async fn goes_on_by_itself(database: Database) {
    to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
    let store = database.store().await;
    let outbox = messagekit::Outbox::new(store.clone(), "shop").unwrap();
    let relayed = Relayed { database, store, outbox };
    run(relayed.store.pool(), SPEND).await;

    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let write = async |pool: &PgPool, numbers: std::ops::Range<i32>| {
        let mut written = Vec::new();
        for number in numbers {
            let key = format!("k-{}", number % 7);
            let id = format!("{key}/{number:03}");
            write_to(pool, "orders.order", &id, Some(&key)).await;
            written.push((key, id));
        }
        written
    };
    write(relayed.store.pool(), 0..30).await;
    let old = Arc::new(Log::default());
    killed_when_all_is_out(&relayed, &old).await;
    assert_eq!(old.ids().iter().collect::<BTreeSet<_>>().len(), 30);

    // Only a dump transfers these: ready, delayed, and refused with one behind it.
    for (key, id) in write(relayed.store.pool(), 30..90).await {
        expected.entry(key).or_default().push(id);
    }
    let delayed =
        "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, available_at)
        VALUES ('later/1', 'orders.order', 'later', '{}', now() + interval '3 s')";
    run(relayed.store.pool(), delayed).await;
    for id in ["r/1", "r/2"] {
        relayed.write(id, Some("r")).await;
    }
    let refuse = "WITH refused AS (DELETE FROM messagekit.outbox_pending WHERE event_id IN ('r/1', 'r/2') RETURNING *)
        INSERT INTO messagekit.outbox_rejected (shard, attempts, copy, seq, key_hash, event_id, topic, error)
        SELECT shard, attempts, copy, seq, key_hash, event_id, topic, CASE event_id WHEN 'r/1' THEN 'too large' END FROM refused";
    run(relayed.store.pool(), refuse).await;

    let (_server, store) = restored(&relayed.database).await;
    assert!(
        last_transaction(store.pool()).await < last_transaction(relayed.store.pool()).await,
        "void: it counts on where the old server stopped"
    );
    // A moment before the relay, and during its run.
    for (key, id) in write(store.pool(), 90..100).await {
        expected.entry(key).or_default().push(id);
    }
    let (new, shutdown) = (Arc::new(Log::default()), Shutdown::new());
    let running = tokio::spawn(relay(&store, &new).unwrap().run(shutdown.clone()));
    for (key, id) in write(store.pool(), 100..110).await {
        expected.entry(key).or_default().push(id);
    }
    write_to(store.pool(), "orders.order", "r/3", Some("r")).await;
    eventually("everything but what was refused is out", DEADLINE, async || pending(&store).await == 0).await;
    assert!(!new.ids().iter().any(|id| id.starts_with("r/")), "it waits for a person");
    let refused = store.rejected(0, 10, false).await.unwrap();
    assert_eq!(refused.len(), 1);
    store.retry_rejected(refused[0].id, &Operator::new("ada", "test")).await.unwrap();
    eventually("that is out too", DEADLINE, async || pending(&store).await == 0).await;
    shutdown.request();
    running.await.unwrap().unwrap();

    expected.insert("later".to_owned(), vec!["later/1".to_owned()]);
    expected.insert("r".to_owned(), ["r/1", "r/2", "r/3"].map(str::to_owned).to_vec());
    let ids = new.ids();
    let expected: BTreeMap<&str, Vec<&str>> =
        expected.iter().map(|(key, ids)| (key.as_str(), ids.iter().map(String::as_str).collect())).collect();
    // In order, and no event that was published before.
    assert_eq!(by_key(&ids), expected);
}

#[test]
fn restored_server_publishes_only_events_that_were_pending() {
    block_on(async { goes_on_by_itself(Database::fresh().await).await });
}

#[test]
fn pending_events_of_a_divided_outbox_go_out_of_another_server() {
    block_on(async { goes_on_by_itself(Database::divided().await).await });
}
