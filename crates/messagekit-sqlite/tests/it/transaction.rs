//! Interactive transactions of a caller.

use std::panic::AssertUnwindSafe;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use messagekit::{ErrorKind, Store};
use messagekit_sqlite::{SqliteOptions, SqliteStore, SqliteTx, rusqlite};
use tempfile::TempDir;

pub(crate) struct Fixture {
    pub(crate) store: SqliteStore,
    pub(crate) folder: TempDir,
}

/// Longer than any operation except waiting for the time limit.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn fixture() -> Fixture {
    // Two writers get the file in turn only if they wait: a slow disk makes every turn long.
    fixture_with(SqliteStore::options().transaction_timeout(LONG).busy_timeout(LONG)).await
}

pub(crate) async fn fixture_with(options: SqliteOptions) -> Fixture {
    let folder = TempDir::new().unwrap();
    let store = options.open(folder.path().join("app.db")).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.call(|c| c.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")).await.unwrap();
    store.commit(tx).await.unwrap();
    Fixture { store, folder }
}

impl Fixture {
    pub(crate) async fn rows(&self) -> Vec<i64> {
        self.store.read(|c| c.query_all("SELECT n FROM t ORDER BY n", [], |row| row.get(0))).await.unwrap()
    }

    /// Begins a transaction that has written 1.
    pub(crate) async fn begun(&self) -> SqliteTx {
        let mut tx = self.store.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        tx
    }
}

pub(crate) async fn insert(tx: &mut SqliteTx, n: i64) -> Result<(), messagekit_sqlite::Error> {
    tx.call(move |c| c.execute("INSERT INTO t VALUES (?1)", [n]).map(drop)).await
}

/// Long enough for a test's work within it on a slow machine.
const SHORT: Duration = Duration::from_secs(1);

fn short() -> SqliteOptions {
    SqliteStore::options().transaction_timeout(SHORT)
}

#[tokio::test]
async fn a_dropped_transaction_rolls_back_at_once() {
    let fixture = fixture().await;
    drop(fixture.begun().await);
    let mut next = fixture.store.begin().await.unwrap();
    // Before the time limit, at which the lock would be free in any case.
    tokio::time::timeout(LONG / 2, insert(&mut next, 1)).await.unwrap().unwrap();
    fixture.store.commit(next).await.unwrap();
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test]
async fn a_transaction_without_a_call_holds_nothing() {
    let fixture = fixture().await;
    let idle = fixture.store.begin().await.unwrap();
    let tx = fixture.begun().await;
    fixture.store.commit(tx).await.unwrap();
    fixture.store.commit(idle).await.unwrap();
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test]
async fn a_swallowed_constraint_error_keeps_the_rest() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let error = insert(&mut tx, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(SqliteStore::classify(&error).is_none());
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<rusqlite::Error>().unwrap();
    assert_eq!(cause.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation));
    insert(&mut tx, 2).await.unwrap();
    fixture.store.commit(tx).await.unwrap();
    assert_eq!(fixture.rows().await, [1, 2]);
}

#[tokio::test]
async fn a_closure_may_have_an_error_of_its_own() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let outcome: Result<(), _> = tx.try_call(|_| Err(std::io::Error::other("no stock left"))).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Other, "no stock left".to_owned()));
    assert!(std::error::Error::source(&error).unwrap().is::<std::io::Error>());
    fixture.store.commit(tx).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_closure_rolls_back_and_the_connection_lives_on() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let panicking = tx.call(|_| -> rusqlite::Result<()> { panic!("on purpose") });
    let panic = AssertUnwindSafe(panicking).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    assert_eq!(insert(&mut tx, 2).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(fixture.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted);

    let mut next = fixture.store.begin().await.unwrap();
    insert(&mut next, 3).await.unwrap();
    fixture.store.commit(next).await.unwrap();
    assert_eq!(fixture.rows().await, [3]);
}

#[tokio::test]
async fn timeout_between_calls_rolls_back_and_frees_the_write_lock() {
    let fixture = fixture_with(short()).await;
    let mut tx = fixture.begun().await;
    // Another task gets the writer although the first transaction is idle.
    let store = fixture.store.clone();
    tokio::spawn(async move {
        let mut other = store.begin().await.unwrap();
        insert(&mut other, 7).await.unwrap();
        store.commit(other).await.unwrap();
    })
    .await
    .unwrap();
    // It blocks no other transaction, not even one of its own task.
    drop(fixture.store.begin().await.unwrap());
    assert_eq!(insert(&mut tx, 2).await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert_eq!(insert(&mut tx, 3).await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert_eq!(fixture.store.commit(tx).await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert_eq!(fixture.rows().await, [7]);
}

#[tokio::test]
async fn an_endless_statement_is_cut_off_at_the_bound() {
    let fixture = fixture_with(short()).await;
    let mut tx = fixture.begun().await;
    let endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c";
    // The query has no end.
    let error = tx.call(move |c| c.query_row(endless, [], |row| row.get::<_, i64>(0))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TransactionTimeout);
    assert!(error.is_transient() && SqliteStore::classify(&error) == Some(ErrorKind::TransactionTimeout));
    assert_eq!(fixture.store.commit(tx).await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn a_closure_that_sleeps_past_the_bound_is_rolled_back_after() {
    let fixture = fixture_with(short()).await;
    let mut tx = fixture.begun().await;
    let slow = tx.call(|c| {
        thread::sleep(SHORT * 2);
        c.execute("INSERT INTO t VALUES (2)", [])
    });
    assert_eq!(slow.await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert_eq!(fixture.store.commit(tx).await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn a_call_dropped_half_way_leaves_a_dead_transaction() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let (started, running) = tokio::sync::oneshot::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    {
        let call = tx.call(move |c| {
            started.send(()).unwrap();
            held.recv().unwrap();
            c.execute("INSERT INTO t VALUES (2)", [])
        });
        tokio::select! {
            biased;
            _ = running => {}
            _ = call => panic!("the closure still waits"),
        }
    }
    release.send(()).unwrap();
    assert_eq!(insert(&mut tx, 3).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(fixture.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted);
    let mut next = fixture.store.begin().await.unwrap();
    insert(&mut next, 4).await.unwrap();
    fixture.store.commit(next).await.unwrap();
    assert_eq!(fixture.rows().await, [4]);
}

#[tokio::test]
async fn a_call_dropped_while_it_waits_for_the_writer_never_runs() {
    let fixture = fixture().await;
    let tx = fixture.begun().await;
    let store = fixture.store.clone();
    let (asked, waits) = tokio::sync::oneshot::channel();
    let waiting = tokio::spawn(async move {
        let mut tx = store.begin().await.unwrap();
        let call = tx.call(|c| c.execute("INSERT INTO t VALUES (2)", []));
        let mut call = std::pin::pin!(call);
        std::future::poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        asked.send(()).unwrap();
        call.await
    });
    waits.await.unwrap();
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    fixture.store.commit(tx).await.unwrap();
    let mut next = fixture.store.begin().await.unwrap();
    insert(&mut next, 3).await.unwrap();
    fixture.store.commit(next).await.unwrap();
    assert_eq!(fixture.rows().await, [1, 3]);
}

#[tokio::test]
async fn a_second_transaction_of_the_same_task_is_refused_at_once() {
    let fixture = fixture().await;
    let mut idle = fixture.store.begin().await.unwrap();
    let tx = fixture.begun().await;
    let error = fixture.store.begin().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldDeadlock);
    assert!(error.to_string().contains("&mut tx"), "{error}");
    assert_eq!(insert(&mut idle, 2).await.unwrap_err().kind(), ErrorKind::WouldDeadlock);
    fixture.store.commit(tx).await.unwrap();
    // It has not been refused: it begins when the first is over.
    insert(&mut idle, 2).await.unwrap();
    fixture.store.commit(idle).await.unwrap();
    assert_eq!(fixture.rows().await, [1, 2]);
}

#[tokio::test]
async fn a_transaction_moved_to_another_task_is_held_by_that_one() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let store = fixture.store.clone();
    let (tx, kind) = tokio::spawn(async move {
        insert(&mut tx, 2).await.unwrap();
        (tx, store.begin().await.unwrap_err().kind())
    })
    .await
    .unwrap();
    assert_eq!(kind, ErrorKind::WouldDeadlock);
    fixture.store.begin().await.unwrap();
    fixture.store.commit(tx).await.unwrap();
    assert_eq!(fixture.rows().await, [1, 2]);
}

#[tokio::test]
async fn a_lock_held_elsewhere_for_too_long_is_a_conflict() {
    let fixture = fixture().await;
    let path = fixture.folder.path().join("app.db");
    let other = SqliteStore::options().busy_timeout(SHORT).open(path).await.unwrap();
    let tx = fixture.begun().await;
    let mut waiting = other.begin().await.unwrap();
    let error = insert(&mut waiting, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.is_transient());
    fixture.store.commit(tx).await.unwrap();
    // The failed one still exists and blocks no other.
    let mut next = other.begin().await.unwrap();
    insert(&mut next, 2).await.unwrap();
    assert_eq!(insert(&mut waiting, 3).await.unwrap_err().kind(), ErrorKind::Conflict);
    other.commit(next).await.unwrap();
    assert_eq!(fixture.rows().await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_on_one_file_wait_for_each_other() {
    let fixture = fixture().await;
    let other = SqliteStore::options().transaction_timeout(LONG).busy_timeout(LONG);
    let other = other.open(fixture.folder.path().join("app.db")).await.unwrap();
    let tasks: Vec<_> = [(fixture.store.clone(), 0), (other, 1)]
        .into_iter()
        .map(|(store, odd)| {
            tokio::spawn(async move {
                for n in 0..100 {
                    let mut tx = store.begin().await.unwrap();
                    insert(&mut tx, 2 * n + odd).await.unwrap();
                    store.commit(tx).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(fixture.rows().await, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_transaction_of_another_store_is_refused() {
    let fixture = fixture().await;
    let other = fixture_with(SqliteStore::options()).await;
    let tx = fixture.begun().await;
    assert_eq!(other.store.commit(tx).await.unwrap_err().kind(), ErrorKind::WrongState);
    assert!(fixture.rows().await.is_empty());
}
