//! Futures that are dropped or time out at every await: nothing is lost, applied twice or left locked.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use messagekit::adapter::BatchLimit;
use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, Envelope, Error, ErrorKind, HandlerError, Outbox, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::{Moment, eventually, given_up};

use crate::console::{Console, NoteTaken, Running, write, write_down};
use crate::time::SOON;

/// The stages of an order at which its future is dropped. Each waits for the writer.
const STAGES: [&str; 4] = ["call", "add", "second call", "commit"];
const COMMIT: usize = 3;

/// Places an order as a service does, and records its stage.
async fn place(store: &SqliteStore, number: i64, stage: &AtomicUsize) -> Result<(), Error> {
    let outbox = Outbox::new(store.clone(), "desk").unwrap();
    let mut tx = store.begin().await?;
    write(&mut tx, number).await?;
    stage.store(1, Ordering::Relaxed);
    outbox.add(&mut tx, NoteTaken { pad: format!("p-{}", number % 3), number }).await?;
    stage.store(2, Ordering::Relaxed);
    tx.call(move |c| c.execute("UPDATE notes SET text = 'placed' WHERE number = ?1", [number])).await?;
    stage.store(COMMIT, Ordering::Relaxed);
    outbox.commit(tx).await
}

/// Returns the knowledge of the caller about an order, from the result and the stage of its future.
fn known(outcome: Option<Result<(), Error>>, stage: usize) -> Known {
    match outcome {
        Some(outcome) => {
            outcome.unwrap();
            Known::Kept
        }
        None if stage == COMMIT => Known::Unknown,
        None => Known::Nothing,
    }
}

/// The outcome of an order, as far as its caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Kept,
    Nothing,
    Unknown,
}

/// Requires that row and event of an order both exist or are both absent, as its caller knows.
async fn is_whole_or_not_there(console: &Console, number: i64, known: Known) -> bool {
    let (rows, events) = console
        .store
        .read(move |c| {
            let rows = "SELECT count(*) FROM notes WHERE number = ?1 AND text = 'placed'";
            let events = "SELECT count(*) FROM messagekit_topic_records WHERE json_extract(CAST(payload AS TEXT), '$.number') = ?1";
            let count = |sql| c.query_row(sql, [number], |row| row.get::<_, i64>(0));
            Ok((count(rows)?, count(events)?))
        })
        .await
        .unwrap();
    assert_eq!(rows, events, "order {number} is there by half");
    match known {
        Known::Kept => assert_eq!(rows, 1, "order {number} is lost"),
        Known::Nothing => assert_eq!(rows, 0, "order {number} was given up before its commit"),
        Known::Unknown => assert!(rows <= 1),
    }
    rows == 1
}

/// Consumes every placed order, and compares.
async fn each_order_is_handled_once(console: Console, mut placed: Vec<i64>) {
    console.change("DELETE FROM notes").await;
    let running = Running::start(console.consumer().on(write_down));
    running.until("all are handled", |stats| stats.handled >= placed.len() as u64).await;
    running.stop().await;
    let mut notes = console.notes().await;
    notes.sort_unstable();
    placed.sort_unstable();
    assert_eq!(notes, placed);
}

#[tokio::test]
async fn an_order_dropped_at_any_await_is_there_wholly_or_not_at_all() {
    const TIMES: usize = 5;
    let console = Console::new().await;
    let (mut placed, mut number) = (Vec::new(), 0);
    for moment in [Moment::Waiting, Moment::Answered] {
        let mut dropped = [0; STAGES.len()];
        let mut polls = 1;
        while dropped.iter().any(|times| *times < TIMES) {
            number += 1;
            assert!(number < 20_000, "{moment:?}: dropped {dropped:?} times at {STAGES:?}");
            let stage = AtomicUsize::new(0);
            let outcome = given_up(place(&console.store, number, &stage), polls, moment).await;
            let stage = stage.into_inner();
            let known = known(outcome, stage);
            // The writer may answer before the next poll, so the same number of polls may end at another await.
            polls = if known == Known::Kept { 1 } else { polls + 1 };
            dropped[stage] += usize::from(known != Known::Kept);
            // The same task continues: no lock of its own blocks it.
            let after = number + 100_000;
            place(&console.store, after, &AtomicUsize::new(0)).await.unwrap();
            placed.push(after);
            if is_whole_or_not_there(&console, number, known).await {
                placed.push(number);
            }
        }
    }
    each_order_is_handled_once(console, placed).await;
}

#[tokio::test]
async fn orders_that_time_out_are_there_wholly_or_not_at_all() {
    const TASKS: i64 = 8;
    const ORDERS: usize = 100;
    /// The smallest number of orders of a task that are kept, and that are too slow.
    const OF_EACH: usize = 10;
    let console = Console::new().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = console.store.clone();
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(task.cast_unsigned());
                // Adapts to the machine: about every second order is too slow.
                let mut longest = Duration::from_millis(4);
                let (mut ended, mut kept) = (Vec::new(), 0);
                for number in (task..).step_by(TASKS as usize) {
                    if ended.len() >= ORDERS && (OF_EACH..=ended.len() - OF_EACH).contains(&kept) {
                        break;
                    }
                    assert!(ended.len() < 10 * ORDERS, "{kept} of {} orders were kept", ended.len());
                    let stage = AtomicUsize::new(0);
                    let limit = longest.mul_f64(random.f64());
                    let outcome = tokio::time::timeout(limit, place(&store, number, &stage)).await.ok();
                    longest = longest.mul_f64(if outcome.is_some() { 0.9 } else { 1.1 });
                    kept += usize::from(outcome.is_some());
                    ended.push((number, known(outcome, stage.into_inner())));
                }
                ended
            })
        })
        .collect();
    let mut placed = Vec::new();
    for task in tasks {
        for (number, known) in task.await.unwrap() {
            // After the next answer of the writer, its earlier work is over.
            console.change("DELETE FROM notes WHERE number < 0").await;
            if is_whole_or_not_there(&console, number, known).await {
                placed.push(number);
            }
        }
    }
    each_order_is_handled_once(console, placed).await;
}

#[tokio::test]
async fn a_call_that_was_dropped_ends_its_transaction() {
    let console = Console::new().await;
    let mut tx = console.store.begin().await.unwrap();
    write(&mut tx, 1).await.unwrap();
    let (go_on, waits) = std::sync::mpsc::channel();
    let slow = tx.call(move |c| {
        waits.recv().ok();
        c.execute("INSERT INTO notes (number) VALUES (2)", ())
    });
    assert!(given_up(slow, 1, Moment::Waiting).await.is_none());
    // It may not have begun: then nothing waits.
    go_on.send(()).ok();
    assert_eq!(write(&mut tx, 3).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(console.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert!(console.notes().await.is_empty());
}

/// Applies a note; every seventh only in its second run.
async fn shaky(tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
    write(tx, note.data.number).await?;
    match note.delivery().map(|delivery| delivery.attempt) {
        Some(1) if note.data.number % 7 == 0 => Err(HandlerError::retryable("the first run fails")),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_consumer_dropped_at_any_await_applies_each_message_once() {
    const NOTES: i64 = 600;
    let console = Console::new().await;
    let mut notes = NOTES;
    console.publish_notes(0..notes).await;
    let batch = BatchLimit { messages: NonZeroU32::new(4).unwrap(), time: Duration::from_millis(20) };
    let consumer = || {
        console
            .consumer()
            .on(shaky)
            .batch(batch)
            .backoff(Backoff::fixed(Duration::from_millis(1)))
            // Handlers take far less time, however busy the machine.
            .deadline(Duration::from_secs(60))
    };
    let behind = "SELECT count(*) FROM messagekit_topic_records WHERE (pos & 1099511627775) >=
                    coalesce((SELECT max(next) FROM messagekit_consumer_cursors), 0)";
    let mut random = fastrand::Rng::with_seed(23);
    let mut dropped = 0;
    // Grows while runs end before their first message is through: how many polls that takes is the consumer's affair.
    let (mut most, mut left) = (24, Vec::new());
    while dropped < 30 || console.numbers(behind).await != [0] {
        if console.numbers(behind).await == [0] {
            // They were faster than expected: publish more.
            assert!(notes < 10 * NOTES, "only {dropped} runs were dropped");
            console.publish_notes(notes..notes + NOTES).await;
            notes += NOTES;
        }
        let moment = if random.bool() { Moment::Waiting } else { Moment::Answered };
        let run = consumer().build().unwrap().run(Shutdown::new());
        assert!(given_up(run, random.u32(1..most), moment).await.is_none(), "the consumer ended by itself");
        dropped += 1;
        let still = console.numbers(behind).await;
        most = if still == left { most + 4 } else { 24 };
        left = still;
    }

    // A failed message whose run was dropped would stay leased for a while.
    console.change("UPDATE messagekit_failed_messages SET due = 0 WHERE running_since IS NOT NULL").await;
    let running = Running::start(consumer());
    eventually("every failed message is resolved", SOON, async || {
        console
            .failed_messages()
            .await
            .iter()
            .all(|failed_message| failed_message.state == FailedMessageState::Resolved)
    })
    .await;
    running.stop().await;
    let mut applied = console.notes().await;
    applied.sort_unstable();
    assert_eq!(applied, (0..notes).collect::<Vec<_>>());
    assert_eq!(console.failed_messages().await.len() as i64, (notes + 6) / 7);
}
