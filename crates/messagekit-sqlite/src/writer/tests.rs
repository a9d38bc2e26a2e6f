//! One-shot jobs, as the rest of the engine uses them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use messagekit::adapter::End;
use messagekit::{Error, ErrorKind, Store};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::error::from_sqlite;
use crate::{SqliteStore, SqliteTx};

struct Fixture {
    store: SqliteStore,
    _folder: TempDir,
}

async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let options = SqliteStore::options().transaction_timeout(Duration::from_secs(20));
    let store = options.open(folder.path().join("jobs.db")).await.unwrap();
    store.job(|conn| execute(conn, "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")).await.unwrap();
    Fixture { store, _folder: folder }
}

fn execute(conn: &Connection, sql: &str) -> Result<(), Error> {
    conn.execute_batch(sql).map_err(from_sqlite)
}

fn insert(conn: &Connection, n: u32) -> Result<(), Error> {
    conn.prepare_cached("INSERT INTO t VALUES (?1)")
        .and_then(|mut insert| insert.execute([n]))
        .map(drop)
        .map_err(from_sqlite)
}

impl Fixture {
    /// Makes jobs queue until the transaction is dropped.
    async fn occupy(&self) -> SqliteTx {
        let mut tx = self.store.begin().await.unwrap();
        tx.run(|_| Ok(())).await.unwrap();
        tx
    }

    /// Starts a job on a new task.
    fn spawn<R: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<R, Error> + Send + 'static,
    ) -> JoinHandle<Result<R, Error>> {
        let store = self.store.clone();
        tokio::spawn(async move { store.job(work).await })
    }

    async fn rows(&self) -> Vec<u32> {
        let all = |conn: &Connection| -> rusqlite::Result<Vec<u32>> {
            conn.prepare("SELECT n FROM t ORDER BY n")?.query_map([], |row| row.get(0))?.collect()
        };
        self.store.query(move |conn| all(conn).map_err(from_sqlite)).await.unwrap()
    }

    fn commits(&self) -> u64 {
        *self.store.commits().borrow()
    }
}

/// Runs the tasks of a current-thread runtime up to their first wait.
async fn let_tasks_queue() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn waiting_jobs_share_one_commit() {
    let fixture = fixture().await;
    let before = fixture.commits();
    let tx = fixture.occupy().await;
    let jobs: Vec<_> = (0..64).map(|n| fixture.spawn(move |conn| insert(conn, n).map(|()| n))).collect();
    let_tasks_queue().await;
    drop(tx);
    for (n, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.await.unwrap().unwrap() as usize, n);
    }
    assert_eq!(fixture.rows().await.len(), 64);
    assert_eq!(fixture.commits() - before, 1);
}

#[tokio::test]
async fn a_failing_or_panicking_job_costs_its_neighbours_nothing() {
    let fixture = fixture().await;
    let tx = fixture.occupy().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let first = fixture.spawn(move |conn| {
        counted.fetch_add(1, Ordering::Relaxed);
        insert(conn, 1)
    });
    let failing = fixture.spawn(|conn| {
        insert(conn, 2)?;
        insert(conn, 1)
    });
    let panicking = fixture.spawn(|conn| -> Result<(), Error> {
        insert(conn, 3)?;
        panic!("on purpose")
    });
    let last = fixture.spawn(|conn| insert(conn, 4));
    let_tasks_queue().await;
    drop(tx);
    first.await.unwrap().unwrap();
    assert_eq!(failing.await.unwrap().unwrap_err().kind(), ErrorKind::Other);
    assert!(panicking.await.unwrap_err().is_panic());
    last.await.unwrap().unwrap();
    assert_eq!(fixture.rows().await, [1, 4]);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_write_that_rolls_back_leaves_its_neighbours_committed() {
    let fixture = fixture().await;
    let tx = fixture.occupy().await;
    let first = fixture.spawn(|conn| insert(conn, 1));
    let loud = fixture.spawn(|conn| {
        insert(conn, 2)?;
        execute(conn, "INSERT OR ROLLBACK INTO t VALUES (2)")
    });
    // A statement after the automatic rollback must not commit by itself.
    let silent = fixture.spawn(|conn| {
        insert(conn, 3)?;
        execute(conn, "INSERT OR ROLLBACK INTO t VALUES (3)").ok();
        insert(conn, 99).ok();
        Ok(())
    });
    let last = fixture.spawn(|conn| insert(conn, 4));
    let_tasks_queue().await;
    drop(tx);
    first.await.unwrap().unwrap();
    assert_eq!(loud.await.unwrap().unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(silent.await.unwrap().unwrap_err().kind(), ErrorKind::Aborted);
    last.await.unwrap().unwrap();
    assert_eq!(fixture.rows().await, [1, 4]);
}

#[tokio::test]
async fn a_job_that_swaps_the_transaction_for_another_is_refused() {
    let fixture = fixture().await;
    let swapped = |conn: &Connection| {
        insert(conn, 1)?;
        execute(conn, "ROLLBACK; BEGIN IMMEDIATE; INSERT INTO t VALUES (2)")
    };
    assert_eq!(fixture.store.job(swapped).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn a_full_disk_fails_the_whole_group_at_once_and_keeps_nothing() {
    let fixture = fixture().await;
    fixture.store.job(|conn| execute(conn, "CREATE TABLE big (b BLOB) STRICT")).await.unwrap();
    fixture
        .store
        .job(|conn| {
            let pages: i64 =
                conn.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(from_sqlite)?;
            conn.query_row(&format!("PRAGMA max_page_count = {}", pages + 2), [], |_| Ok(()))
                .map_err(from_sqlite)
        })
        .await
        .unwrap();
    let tx = fixture.occupy().await;
    let runs = Arc::new(AtomicU32::new(0));
    let jobs: Vec<_> = (0..8)
        .map(|n| {
            let counted = Arc::clone(&runs);
            fixture.spawn(move |conn| {
                counted.fetch_add(1, Ordering::Relaxed);
                insert(conn, n)?;
                execute(conn, "INSERT INTO big VALUES (zeroblob(4000))")
            })
        })
        .collect();
    let_tasks_queue().await;
    drop(tx);
    for job in jobs {
        assert_eq!(job.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(runs.load(Ordering::Relaxed) <= 8, "nothing runs twice");
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn a_dropped_job_call_still_writes() {
    let fixture = fixture().await;
    let tx = fixture.occupy().await;
    let waiting = fixture.spawn(|conn| insert(conn, 1));
    let_tasks_queue().await;
    waiting.abort();
    drop(tx);
    fixture.store.job(|_| Ok(())).await.unwrap();
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test]
async fn a_job_of_a_task_that_holds_a_transaction_is_refused_at_once() {
    let fixture = fixture().await;
    let store = fixture.store.clone();
    // Once on a task, once in the test's own `block_on`.
    let on_a_task = tokio::spawn({
        let store = store.clone();
        async move {
            let mut tx = store.begin().await.unwrap();
            tx.run(|_| Ok(())).await.unwrap();
            store.job(|_| Ok(())).await.unwrap_err()
        }
    });
    let refused = on_a_task.await.unwrap();
    assert_eq!(refused.kind(), ErrorKind::WouldDeadlock);
    assert!(refused.to_string().contains("outbox.add(&mut tx"), "{refused}");

    let tx = fixture.occupy().await;
    assert_eq!(store.job(|_| Ok(())).await.unwrap_err().kind(), ErrorKind::WouldDeadlock);
    // The task that drops the transaction may write in the next statement.
    drop(tx);
    store.job(|_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_job_inside_a_handler_is_refused_at_once() {
    let fixture = fixture().await;
    let store = fixture.store.clone();
    let kind = fixture
        .store
        .transact(Box::new(move |mut tx: SqliteTx| {
            Box::pin(async move {
                tx.run(|conn| insert(conn, 1)).await.unwrap();
                let kind = store.job(|conn| insert(conn, 2)).await.unwrap_err().kind();
                (tx, End::Commit(kind))
            })
        }))
        .await
        .unwrap();
    assert_eq!(kind, ErrorKind::WouldDeadlock);
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_and_transactions_do_not_starve_each_other() {
    let fixture = fixture().await;
    let jobs: Vec<_> = (0..4)
        .map(|task| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                for n in 0..100 {
                    store.job(move |conn| insert(conn, task * 1_000 + n)).await.unwrap();
                }
            })
        })
        .collect();
    let transactions: Vec<_> = (4..6)
        .map(|task| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                for n in 0..100 {
                    let mut tx = store.begin().await.unwrap();
                    tx.run(move |conn| insert(conn, task * 1_000 + n)).await.unwrap();
                    store.commit(tx).await.unwrap();
                }
            })
        })
        .collect();
    let everything = async {
        for task in jobs.into_iter().chain(transactions) {
            task.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(600), everything).await.unwrap();
    assert_eq!(fixture.rows().await.len(), 600);
}

#[tokio::test]
async fn on_commit_runs_after_a_commit_and_never_after_a_rollback() {
    let fixture = fixture().await;
    let called = Arc::new(AtomicU32::new(0));
    let hook = |called: &Arc<AtomicU32>| -> Box<dyn FnOnce() + Send> {
        let called = Arc::clone(called);
        Box::new(move || {
            called.fetch_add(1, Ordering::Relaxed);
        })
    };
    let before = fixture.commits();
    let mut tx = fixture.occupy().await;
    tx.on_commit(hook(&called));
    fixture.store.rollback(tx).await.unwrap();
    assert_eq!((called.load(Ordering::Relaxed), fixture.commits()), (0, before));

    let mut tx = fixture.occupy().await;
    tx.on_commit(hook(&called));
    fixture.store.commit(tx).await.unwrap();
    assert_eq!((called.load(Ordering::Relaxed), fixture.commits()), (1, before + 1));

    let (inside, store) = (hook(&called), fixture.store.clone());
    store
        .transact(Box::new(move |mut tx: SqliteTx| {
            tx.on_commit(inside);
            Box::pin(async move { (tx, End::Commit(())) })
        }))
        .await
        .unwrap();
    assert_eq!(called.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_closed_store_says_so_to_every_handle() {
    let fixture = fixture().await;
    let other = fixture.store.clone();
    let mut commits = other.commits();
    fixture.store.clone().close().await.unwrap();
    assert_eq!(other.job(|_| Ok(())).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(other.query(|_| Ok(())).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(other.open_reader().unwrap_err().kind(), ErrorKind::Closed);
    commits.mark_unchanged();
    assert!(commits.changed().await.is_err(), "the counter's sender is gone");
}

#[tokio::test]
async fn the_log_stays_small_under_steady_writes() {
    let fixture = fixture().await;
    fixture.store.job(|conn| execute(conn, "CREATE TABLE big (b BLOB) STRICT")).await.unwrap();
    for _ in 0..40 {
        fixture.store.job(|conn| execute(conn, "INSERT INTO big VALUES (zeroblob(1000000))")).await.unwrap();
    }
    let log = format!("{}-wal", fixture.store.path().display());
    let bytes = std::fs::metadata(log).unwrap().len();
    assert!(bytes < 8_000_000, "40 MB were written and the log has {bytes} bytes");
}
