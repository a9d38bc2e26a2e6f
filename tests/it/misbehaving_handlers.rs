//! Handlers that swallow errors, panic, sleep or never end: only the failing message is set aside, its neighbours are
//! applied once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use messagekit::consumer::ConsumerStats;
use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, Envelope, ErrorKind, HandlerError, Outbox, Store, chain};
use messagekit_sqlite::{SqliteStore, SqliteTx};

use crate::console::{Console, NoteTaken, Running, patient, write};

/// The note at which a handler misbehaves.
const CULPRIT: i64 = 5;
const NOTES: i64 = 12;
/// The time that the lock may be held: longer than the neighbours hold it, however busy the machine.
const BOUND: Duration = Duration::from_secs(4);
const TOO_LONG: Duration = Duration::from_secs(6);

/// The way in which a handler misbehaves at the failing note, after it has inserted it.
#[derive(Clone, Copy, Debug)]
enum Misbehaviour {
    OrRollback,
    OrRollbackThenMore,
    Panic,
    PanicInsideAStatement,
    Sleep,
    SleepInsideAStatement,
    EndlessStatement,
    Never,
}

struct Handler {
    misbehaviour: Misbehaviour,
    /// Runs of the failing note.
    runs: AtomicU32,
}

impl Handler {
    async fn handle(&self, tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        write(tx, note.data.number).await?;
        if note.data.number != CULPRIT {
            return Ok(());
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        match self.misbehaviour {
            Misbehaviour::OrRollback => {
                tx.call(|c| c.execute("INSERT OR ROLLBACK INTO taken VALUES (1)", ())).await.unwrap_err();
            }
            Misbehaviour::OrRollbackThenMore => {
                // The second statement would commit by itself, unnoticed.
                let swallowed = tx.call(|c| {
                    c.execute("INSERT OR ROLLBACK INTO taken VALUES (1)", ()).unwrap_err();
                    c.execute("INSERT INTO taken VALUES (2)", ())
                });
                swallowed.await.ok();
                write(tx, -1).await.ok();
            }
            Misbehaviour::Panic => panic!("this note burns"),
            Misbehaviour::PanicInsideAStatement => {
                tx.call(|_| -> messagekit_sqlite::rusqlite::Result<()> { panic!("this statement burns") })
                    .await?;
            }
            Misbehaviour::Sleep => tokio::time::sleep(TOO_LONG).await,
            Misbehaviour::SleepInsideAStatement => {
                tx.call(|_| {
                    std::thread::sleep(TOO_LONG);
                    Ok(())
                })
                .await
                .ok();
            }
            Misbehaviour::EndlessStatement => {
                let endless =
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
                tx.call(move |c| c.query_row(endless, (), |row| row.get::<_, i64>(0))).await.ok();
            }
            Misbehaviour::Never => std::future::pending().await,
        }
        Ok(())
    }
}

/// Returns a file whose lock may be held only for a moment, unless the test is about the deadline.
async fn desk_for(misbehaviour: Misbehaviour) -> Console {
    match misbehaviour {
        Misbehaviour::Never => Console::new().await,
        _ => Console::with(patient().transaction_timeout(BOUND).partitions(NonZeroU32::MIN)).await,
    }
}

/// Runs a consumer over the notes, of which one fails, until all others are handled and that one is dead.
async fn work_through(console: &Console, misbehaviour: Misbehaviour, others: u64) -> (ConsumerStats, u32) {
    console.change("CREATE TABLE taken (id INTEGER PRIMARY KEY) STRICT; INSERT INTO taken VALUES (1)").await;
    let handler = Arc::new(Handler { misbehaviour, runs: AtomicU32::new(0) });
    let consumer = console
        .consumer()
        .on_with(Arc::clone(&handler), Handler::handle)
        .attempts(NonZeroU32::new(2).unwrap())
        .backoff(Backoff::fixed(Duration::from_millis(5)));
    let running = Running::start(match misbehaviour {
        // Long enough for the neighbours on a busy machine.
        Misbehaviour::Never => consumer.deadline(BOUND),
        // The statement is interrupted although its handler has been given up before.
        Misbehaviour::SleepInsideAStatement | Misbehaviour::EndlessStatement => {
            consumer.deadline(BOUND * 3 / 4)
        }
        // The transaction timeout comes long before the default deadline.
        _ => consumer,
    });
    running.until("all are handled but one", |stats| stats.handled == others && stats.dead == 1).await;
    (running.stop().await, handler.runs.load(Ordering::Relaxed))
}

/// Requires that only the failing note is set aside, and everything else is as if it had never existed.
async fn only_the_culprit_is_set_apart(misbehaviour: Misbehaviour, kind: &str, says: &str) {
    let console = desk_for(misbehaviour).await;
    console.publish_notes(0..NOTES).await;
    let others = NOTES.cast_unsigned() - 1;
    let (stats, runs) = work_through(&console, misbehaviour, others).await;

    let expected: Vec<i64> = (0..NOTES).filter(|number| *number != CULPRIT).collect();
    assert_eq!(console.notes().await, expected, "neighbours once and in order, of the culprit nothing");
    assert_eq!(console.numbers("SELECT id FROM taken").await, [1], "nothing has leaked out of a transaction");
    let failed_messages = console.failed_messages().await;
    assert_eq!(failed_messages.len(), 1);
    let failed_message = &failed_messages[0];
    assert_eq!(
        (failed_message.state, failed_message.attempts, &*failed_message.kind),
        (FailedMessageState::Dead, 2, kind),
        "{}",
        failed_message.error
    );
    assert!(failed_message.error.contains(says), "{}", failed_message.error);
    assert_eq!((stats.handled, stats.set_aside, stats.dead), (others, 1, 1));
    let markers = "SELECT outcome FROM messagekit_processed_messages WHERE outcome = 0";
    assert_eq!(console.numbers(markers).await.len() as u64, others);
    // When the failing message is unknown, the batch is bisected: at most log2(12) runs, one alone, and the retry.
    assert!((2..=6).contains(&runs), "{runs} runs of the culprit");
    console.store.close().await.unwrap();
}

#[tokio::test]
async fn a_swallowed_rollback_sets_apart_the_culprit_alone() {
    only_the_culprit_is_set_apart(Misbehaviour::OrRollback, "transaction", "transaction has ended").await;
}

#[tokio::test]
async fn what_follows_a_swallowed_rollback_does_not_leak() {
    only_the_culprit_is_set_apart(Misbehaviour::OrRollbackThenMore, "transaction", "transaction has ended")
        .await;
}

#[tokio::test]
async fn a_panic_sets_apart_the_culprit_alone() {
    only_the_culprit_is_set_apart(Misbehaviour::Panic, "panicked", "this note burns").await;
}

#[tokio::test]
async fn a_panic_inside_a_statement_sets_apart_the_culprit_alone() {
    only_the_culprit_is_set_apart(Misbehaviour::PanicInsideAStatement, "panicked", "this statement burns")
        .await;
}

#[tokio::test]
async fn sleep_over_the_transaction_timeout_fails_only_the_culprit() {
    only_the_culprit_is_set_apart(Misbehaviour::Sleep, "transaction", "held the write lock for too long")
        .await;
}

#[tokio::test]
async fn a_sleeper_alone_over_the_transaction_timeout_fails() {
    let console = desk_for(Misbehaviour::Sleep).await;
    console.publish_notes([CULPRIT]).await;
    let (_, runs) = work_through(&console, Misbehaviour::Sleep, 0).await;
    assert_eq!(runs, 3, "the first run, another in case the machine stood still, and the retry");
    assert!(console.notes().await.is_empty());
    assert_eq!(console.failed_messages().await[0].kind, "transaction");
}

#[tokio::test]
async fn blocking_over_transaction_timeout_fails_only_the_culprit() {
    only_the_culprit_is_set_apart(
        Misbehaviour::SleepInsideAStatement,
        "transaction",
        "held the write lock for too long",
    )
    .await;
}

#[tokio::test]
async fn endless_statement_is_interrupted_and_only_the_culprit_fails() {
    only_the_culprit_is_set_apart(
        Misbehaviour::EndlessStatement,
        "transaction",
        "held the write lock for too long",
    )
    .await;
}

#[tokio::test]
async fn a_handler_over_its_deadline_fails_only_its_own_message() {
    only_the_culprit_is_set_apart(Misbehaviour::Never, "too_slow", "within its deadline of 4s").await;
}

#[tokio::test]
async fn a_swallowed_constraint_error_commits_the_rest() {
    async fn swallow(tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        tx.call(|c| c.execute("INSERT INTO taken VALUES (1)", ())).await.unwrap_err();
        write(tx, note.data.number).await?;
        Ok(())
    }
    let console = Console::new().await;
    console.change("CREATE TABLE taken (id INTEGER PRIMARY KEY) STRICT; INSERT INTO taken VALUES (1)").await;
    console.publish_notes(0..5).await;
    let running = Running::start(console.consumer().on(swallow));
    running.until("all are handled", |stats| stats.handled == 5).await;
    assert_eq!(running.stop().await.rolled_back, 0);
    assert_eq!(console.notes().await, [0, 1, 2, 3, 4]);
}

/// Writes outside its transaction, which waits for the lock that the transaction holds.
struct Past(SqliteStore);

impl Past {
    async fn write(&self, tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        write(tx, note.data.number).await?;
        let outbox = Outbox::new(self.0.clone(), "desk").unwrap();
        let mut other = match self.0.begin().await {
            Ok(other) => other,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldDeadlock);
                assert!(chain(&error).contains("outbox.add(&mut tx"), "{error}");
                return Err(HandlerError::permanent(error));
            }
        };
        outbox.add(&mut other, note.data.clone()).await?;
        outbox.commit(other).await?;
        Ok(())
    }
}

#[tokio::test]
async fn write_past_the_handlers_transaction_is_refused_at_once() {
    let console = Console::new().await;
    console.publish_notes(0..1).await;
    let running =
        Running::start(console.consumer().on_with(Arc::new(Past(console.store.clone())), Past::write));
    running.until("the note is dead", |stats| stats.dead == 1).await;
    running.stop().await;
    assert!(console.notes().await.is_empty());
    assert!(console.failed_messages().await[0].error.contains("inside a transaction on the same file"));
}
