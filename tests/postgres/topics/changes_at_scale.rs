//! Table sources under load: a statement of millions of rows, a server that crashes, and a queue that lives for long.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use messagekit::log::RowPayload;
use messagekit_postgres::{PostgresStore, migrations};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::{Database, Server, is_full};
use messagekit_topic_store::{Claimed, RecordClaimer, Which};
use messagekit_topics::{Topic, Topics};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const TOPIC: &str = "shop.orders";

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// A server of its own with a table of versions, whose changes are events of a topic with four partitions.
async fn shop(settings: &[&str]) -> (Server, PostgresStore, Topic<Value, PostgresStore>) {
    let server = Server::start(settings).await;
    let url = server.url("shop");
    migrations::migrate(&url).await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    run(&mut connection, "CREATE TABLE orders (id bigint PRIMARY KEY, version int NOT NULL DEFAULT 0)").await;
    let topics = Topics::of(store.clone());
    let topic = topics.untyped(TOPIC).partitions(NonZeroU32::new(4).unwrap()).open().await.unwrap();
    (server, store, topic)
}

/// The most memory that a process has had of its own, in MiB; pages that it shares with the server do not count.
fn own_memory(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Runs a statement, and returns the most memory of its session in MiB.
fn most_memory_of(runtime: &Runtime, url: &str, statement: &'static str) -> u64 {
    let mut connection = runtime.block_on(PgConnection::connect(url)).unwrap();
    let find = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection);
    let process: i32 = runtime.block_on(find).unwrap();
    let writing: JoinHandle<()> = runtime.spawn(async move { run(&mut connection, statement).await });
    let mut most = 0;
    while !writing.is_finished() {
        most = most.max(own_memory(process));
        std::thread::sleep(Duration::from_millis(20));
    }
    runtime.block_on(writing).unwrap();
    most
}

#[test]
fn a_statement_of_millions_of_rows_takes_bounded_memory() {
    let rows: i64 = if is_full() { 5_000_000 } else { 200_000 };
    let runtime = Runtime::new().unwrap();
    let (server, _store, topic) = runtime.block_on(shop(&["work_mem=4MB", "max_wal_size=4GB"]));
    let url = server.url("shop");
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        run(&mut connection, &format!("INSERT INTO orders (id) SELECT generate_series(1, {rows})")).await;
        let topics = Topics::of(PostgresStore::connect(&url).await.unwrap());
        topics.source("orders").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
    });
    let most = most_memory_of(&runtime, &url, "UPDATE orders SET version = version + 1");
    println!("{rows} rows: at most {most} MiB");
    assert!(most > 0, "the session was not seen");
    assert!(most < 150, "{most} MiB for {rows} rows");
    let began = Instant::now();
    assert_eq!(runtime.block_on(topic.count()).unwrap().new, rows.unsigned_abs());
    println!("{rows} events had their offsets after {:?}", began.elapsed());
}

/// Writes rows and raises their versions until it is told to end, whatever becomes of the server.
async fn write(url: String, writer: i64, mut end: tokio::sync::watch::Receiver<bool>) {
    let mut id = writer * 1_000_000;
    while !*end.borrow_and_update() {
        let Ok(mut connection) = PgConnection::connect(&url).await else { continue };
        loop {
            id += 1;
            let insert = sqlx::query("INSERT INTO orders (id) VALUES ($1)").bind(id);
            let update = "UPDATE orders SET version = version + 1 WHERE id BETWEEN $1 - 2 AND $1";
            if insert.execute(&mut connection).await.is_err()
                || sqlx::query(update).bind(id).execute(&mut connection).await.is_err()
                || *end.borrow_and_update()
            {
                break;
            }
        }
    }
}

#[test]
fn rows_and_events_agree_after_crashes_of_the_server() {
    block_on(async {
        let crashes = if is_full() { 20 } else { 3 };
        let (server, store, topic) = shop(&[]).await;
        Topics::of(store).source("orders").add(TOPIC).await.unwrap();
        let (end, ended) = tokio::sync::watch::channel(false);
        let writers: Vec<_> =
            (1..=8).map(|writer| tokio::spawn(write(server.url("shop"), writer, ended.clone()))).collect();
        let mut seen = 0;
        for _ in 0..crashes {
            // Offsets are given out beside the writers.
            eventually("events come", DEADLINE, async || match topic.count().await {
                Ok(count) => std::mem::replace(&mut seen, count.all) + 100 < count.all,
                Err(_) => false,
            })
            .await;
            server.crash().await;
        }
        end.send_replace(true);
        for writer in writers {
            writer.await.unwrap();
        }
        agree(&server, &topic).await;
    });
}

/// Each row has one event of its insert, and one of each version.
async fn agree(server: &Server, topic: &Topic<Value, PostgresStore>) {
    let mut connection = PgConnection::connect(&server.url("shop")).await.unwrap();
    let rows: Vec<(i64, i32)> = sqlx::query_as("SELECT id, version FROM orders ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut events: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let all: Vec<_> = topic.iter_all().try_collect().await.unwrap();
    for record in all {
        let of_row = &record.data["row"];
        events.entry(of_row["id"].as_i64().unwrap()).or_default().push(of_row["version"].as_i64().unwrap());
    }
    assert!(rows.len() > 100, "void: {} rows", rows.len());
    let expected: BTreeMap<i64, Vec<i64>> =
        rows.into_iter().map(|(id, version)| (id, (0..=i64::from(version)).collect())).collect();
    assert_eq!(events, expected);
}

#[test]
fn claims_leave_no_more_than_vacuum_takes() {
    block_on(async {
        let time = if is_full() { Duration::from_secs(600) } else { Duration::ZERO };
        let database = Database::fresh().await;
        let mut connection = database.connection().await;
        let to_public = format!("ALTER DATABASE {} SET search_path TO public", database.name());
        run(&mut connection, &to_public).await;
        let mut connection = database.connection().await;
        if is_full() {
            // As on a server of its own: that of the tests has a thousand databases, and comes by once in 15 minutes.
            run(&mut connection, "ALTER SYSTEM SET autovacuum_naptime = '1min'").await;
            run(&mut connection, "SELECT pg_reload_conf()").await;
        }
        run(&mut connection, "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
            .await;
        let store = database.store().await;
        let topics = Topics::of(store.clone());
        topics.untyped(TOPIC).open().await.unwrap();
        topics.source("orders").add(TOPIC).await.unwrap();
        let worker = RecordClaimer::new(store, "shipping", TOPIC);
        let (began, mut handled) = (Instant::now(), 0);
        // Of the first half of the time, and of the second.
        let mut largest = [0, 0];
        while handled < 3_000 || began.elapsed() < time {
            run(&mut connection, "INSERT INTO orders SELECT FROM generate_series(1, 100)").await;
            for _ in 0..10 {
                let Claimed::Records(claim) = worker.claim(10).await.unwrap() else { panic!("100 wait") };
                handled += claim.records.len();
                worker.acknowledge(&claim, Which::All).await.unwrap();
            }
            let half = usize::from(began.elapsed() * 2 >= time);
            largest[half] = largest[half].max(number(&mut connection, CHANGED_BYTES).await);
        }
        println!(
            "{handled} records in {:?}: the rows that change took at most {largest:?} bytes in each half",
            began.elapsed()
        );
        // Claims are a row for each partition and consumer: what grows are its dead versions, until a vacuum.
        if time.is_zero() {
            for table in ["consumer_cursors", "topic_partitions", "topic_waiting"] {
                run(&mut connection, &format!("VACUUM messagekit.{table}")).await;
            }
            let left = number(&mut connection, CHANGED_BYTES).await;
            assert!(left < 1024 * 1024, "{left} bytes of {largest:?}");
        } else {
            // Between two visits of autovacuum they grow; what it freed is used again.
            run(&mut connection, "ALTER SYSTEM RESET autovacuum_naptime").await;
            run(&mut connection, "SELECT pg_reload_conf()").await;
            assert!(largest[1] * 4 < largest[0] * 5, "{largest:?} bytes: autovacuum does not keep up");
        }
        let changed = "SELECT (n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables WHERE relid = 'messagekit.topic_records'::regclass";
        assert_eq!(number(&mut connection, changed).await, 0, "records are never changed");
    });
}

const CHANGED_BYTES: &str = "SELECT (pg_total_relation_size('messagekit.consumer_cursors')
    + pg_total_relation_size('messagekit.topic_partitions') + pg_total_relation_size('messagekit.topic_waiting'))::bigint";
