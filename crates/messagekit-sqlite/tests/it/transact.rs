//! Work polled on the writer thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use messagekit::adapter::{BoxFuture, End, TransactError, Work};
use messagekit::{ErrorKind, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx, rusqlite};
use tokio::sync::oneshot;

use crate::transaction::{LONG, fixture, fixture_with, insert};

type Ended<R> = BoxFuture<'static, (SqliteTx, End<R>)>;

fn work<R>(run: impl FnOnce(SqliteTx) -> Ended<R> + Send + 'static) -> Work<SqliteTx, R> {
    Box::new(run)
}

#[tokio::test]
async fn work_ends_as_it_says() {
    let fixture = fixture().await;
    for (n, keep) in [(1, true), (2, false)] {
        let answer = fixture
            .store
            .transact(work(move |mut tx| {
                Box::pin(async move {
                    insert(&mut tx, n).await.unwrap();
                    (tx, if keep { End::Commit(n) } else { End::Rollback(n) })
                })
            }))
            .await;
        assert_eq!(answer.unwrap(), n);
    }
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test]
async fn calls_run_inline_on_the_thread_that_polls() {
    let fixture = fixture().await;
    let threads = fixture
        .store
        .transact(work(|mut tx| {
            Box::pin(async move {
                let polling = thread::current().id();
                let calling = tx.call(|_| Ok(thread::current().id())).await.unwrap();
                (tx, End::Commit((polling, calling)))
            })
        }))
        .await
        .unwrap();
    assert_eq!(threads.0, threads.1);
    assert_ne!(threads.0, thread::current().id());
}

async fn timers_tasks_and_channels(store: &SqliteStore) {
    let answer = store
        .transact(work(|mut tx| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let spawned = tokio::spawn(async { 20 }).await.unwrap();
                let blocking = tokio::task::spawn_blocking(|| 3).await.unwrap();
                insert(&mut tx, spawned + blocking).await.unwrap();
                (tx, End::Commit(()))
            })
        }))
        .await;
    answer.unwrap();
}

#[tokio::test]
async fn handlers_may_await_other_things_on_a_current_thread_runtime() {
    let fixture = fixture().await;
    timers_tasks_and_channels(&fixture.store).await;
    assert_eq!(fixture.rows().await, [23]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_may_await_other_things_on_a_multi_thread_runtime() {
    let fixture = fixture().await;
    timers_tasks_and_channels(&fixture.store).await;
    assert_eq!(fixture.rows().await, [23]);
}

#[tokio::test(start_paused = true)]
async fn handlers_may_await_timers_of_a_paused_clock() {
    let fixture = fixture().await;
    timers_tasks_and_channels(&fixture.store).await;
    assert_eq!(fixture.rows().await, [23]);
}

#[tokio::test]
async fn work_that_panics_rolls_back_and_panics_for_its_caller() {
    let fixture = fixture().await;
    let store = fixture.store.clone();
    let panicking = tokio::spawn(async move {
        let run = work::<()>(|mut tx| {
            Box::pin(async move {
                insert(&mut tx, 1).await.unwrap();
                panic!("on purpose")
            })
        });
        store.transact(run).await
    });
    assert!(panicking.await.unwrap_err().is_panic());
    assert!(fixture.rows().await.is_empty());
    insert_alone(&fixture.store, 2).await;
    assert_eq!(fixture.rows().await, [2]);
}

async fn insert_alone(store: &SqliteStore, n: i64) {
    let mut tx = store.begin().await.unwrap();
    insert(&mut tx, n).await.unwrap();
    store.commit(tx).await.unwrap();
}

#[tokio::test]
async fn work_that_overruns_the_bound_is_dropped_and_rolled_back() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let fixture = fixture_with(SqliteStore::options().transaction_timeout(Duration::from_secs(1))).await;
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Dropped(Arc::clone(&dropped));
    let error = fixture
        .store
        .transact(work::<()>(|mut tx| {
            Box::pin(async move {
                let _guard = guard;
                insert(&mut tx, 1).await.unwrap();
                std::future::pending::<()>().await;
                (tx, End::Commit(()))
            })
        }))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TransactError::Commit(cause) if cause.kind() == ErrorKind::TransactionTimeout),
        "{error:?}"
    );
    assert!(dropped.load(Ordering::Relaxed));
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn work_that_blocks_its_thread_past_the_bound_is_not_committed() {
    let bound = Duration::from_secs(1);
    let fixture = fixture_with(SqliteStore::options().transaction_timeout(bound)).await;
    let error = fixture
        .store
        .transact(work(move |mut tx| {
            Box::pin(async move {
                insert(&mut tx, 1).await.unwrap();
                thread::sleep(bound * 2);
                (tx, End::Commit(()))
            })
        }))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TransactError::Commit(cause) if cause.kind() == ErrorKind::TransactionTimeout),
        "{error:?}"
    );
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn a_commit_after_a_swallowed_automatic_rollback_is_refused() {
    let fixture = fixture().await;
    let error = fixture
        .store
        .transact(work(|mut tx| {
            Box::pin(async move {
                insert(&mut tx, 1).await.unwrap();
                tx.call(|c| c.execute("INSERT OR ROLLBACK INTO t VALUES (1)", [])).await.unwrap_err();
                (tx, End::Commit(()))
            })
        }))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TransactError::Commit(cause) if cause.kind() == ErrorKind::Aborted),
        "{error:?}"
    );
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn dropping_the_call_before_the_commit_rolls_back_at_once() {
    let fixture = fixture().await;
    let (written, seen) = oneshot::channel();
    let transact = fixture.store.transact(work::<()>(|mut tx| {
        Box::pin(async move {
            insert(&mut tx, 1).await.unwrap();
            written.send(()).unwrap();
            std::future::pending::<()>().await;
            (tx, End::Commit(()))
        })
    }));
    tokio::select! {
        biased;
        _ = seen => {}
        _ = transact => panic!("the work never ends"),
    }
    // Before the time limit, at which the lock would be free in any case.
    tokio::time::timeout(LONG / 2, insert_alone(&fixture.store, 2)).await.unwrap();
    assert_eq!(fixture.rows().await, [2]);
}

#[tokio::test]
async fn a_second_transaction_inside_a_handler_is_refused_at_once() {
    let fixture = fixture().await;
    let store = fixture.store.clone();
    let kinds = fixture
        .store
        .transact(work(move |tx| {
            Box::pin(async move {
                let begin = store.begin().await.unwrap_err().kind();
                let nested = store.transact(work(|tx| Box::pin(async move { (tx, End::Commit(())) }))).await;
                (tx, End::Commit((begin, nested.unwrap_err().error().kind())))
            })
        }))
        .await
        .unwrap();
    assert_eq!(kinds, (ErrorKind::WouldDeadlock, ErrorKind::WouldDeadlock));
}

#[tokio::test]
async fn a_task_that_holds_a_transaction_is_refused_a_batch() {
    let fixture = fixture().await;
    let _tx = fixture.begun().await;
    let error =
        fixture.store.transact(work(|tx| Box::pin(async move { (tx, End::Commit(())) }))).await.unwrap_err();
    assert!(matches!(&error, TransactError::Begin(cause) if cause.kind() == ErrorKind::WouldDeadlock));
}

#[tokio::test]
async fn work_does_not_run_when_the_file_is_locked_for_too_long() {
    let fixture = fixture().await;
    let busy = SqliteStore::options().busy_timeout(Duration::from_millis(20));
    let other = busy.open(fixture.folder.path().join("app.db")).await.unwrap();
    let _tx = fixture.begun().await;
    let error = other.transact(work::<()>(|_| panic!("must not run"))).await.unwrap_err();
    assert!(
        matches!(&error, TransactError::Begin(cause) if cause.kind() == ErrorKind::Conflict),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_transaction_given_to_another_task_still_works() {
    let fixture = fixture().await;
    fixture
        .store
        .transact(work(|mut tx| {
            Box::pin(async move {
                let tx = tokio::spawn(async move {
                    insert(&mut tx, 1).await.unwrap();
                    tx
                })
                .await
                .unwrap();
                (tx, End::Commit(()))
            })
        }))
        .await
        .unwrap();
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test]
async fn giving_back_another_transaction_commits_neither() {
    let fixture = fixture().await;
    let elsewhere = fixture_with(SqliteStore::options()).await;
    let foreign = elsewhere.begun().await;
    let error = fixture
        .store
        .transact(work(|mut tx| {
            Box::pin(async move {
                insert(&mut tx, 1).await.unwrap();
                (foreign, End::Commit(()))
            })
        }))
        .await
        .unwrap_err();
    assert_eq!(error.error().kind(), ErrorKind::WrongState);
    assert!(fixture.rows().await.is_empty() && elsewhere.rows().await.is_empty());
}

#[tokio::test]
async fn handlers_of_two_files_do_not_mix() {
    let fixture = fixture().await;
    let elsewhere = fixture_with(SqliteStore::options()).await;
    let other = elsewhere.store.clone();
    fixture
        .store
        .transact(work(move |mut tx| {
            Box::pin(async move {
                insert(&mut tx, 1).await.unwrap();
                insert_alone(&other, 2).await;
                (tx, End::Commit(()))
            })
        }))
        .await
        .unwrap();
    assert_eq!(fixture.rows().await, [1]);
    assert_eq!(elsewhere.rows().await, [2]);
}

#[test]
fn a_store_works_without_a_runtime() {
    // `block_on` of another executor: tokio's runtime is absent.
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async {
        let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.call(|c| c.execute_batch("CREATE TABLE t (n)")).await.unwrap();
        // The owner is this thread, because there is no task.
        let error = store.begin().await.unwrap_err();
        store.commit(tx).await.unwrap();
        error
    });
    assert_eq!(error.kind(), ErrorKind::WouldDeadlock);
}

#[tokio::test]
async fn spans_of_the_caller_are_carried_over() {
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry());
    let fixture = fixture().await;
    let span = tracing::info_span!("lane");
    let expected = span.id();
    assert!(expected.is_some());
    let run = work(|tx| Box::pin(async move { (tx, End::Commit(tracing::Span::current().id())) }));
    let seen = tracing::Instrument::instrument(fixture.store.transact(run), span).await.unwrap();
    assert_eq!(seen, expected);
}

#[test]
fn busy_and_full_are_recognised_in_handlers_errors() {
    let failure = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    let classify = |code| SqliteStore::classify(&failure(code));
    assert_eq!(classify(rusqlite::ffi::SQLITE_BUSY), Some(ErrorKind::Conflict));
    assert_eq!(classify(rusqlite::ffi::SQLITE_FULL), Some(ErrorKind::Unavailable));
    assert_eq!(classify(rusqlite::ffi::SQLITE_CONSTRAINT), None);
}
