//! Failed messages, their duplicates and their retries: applied once, when an operator retries them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use messagekit::operations::{FailedMessageState, FailedMessages, StateReason};
use messagekit::{Backoff, ConsumerBuilder, Envelope, Error, ErrorKind, HandlerError, Message};
use messagekit_sqlite::{SqliteSource, SqliteStore, SqliteTx};
use messagekit_testkit::eventually;
use tokio::sync::Barrier;

use crate::console::{Console, NoteTaken, Running, consumer, note, retry, write};
use crate::time::SOON;

/// A handler that can be repaired.
#[derive(Default)]
struct Repairable {
    repaired: AtomicBool,
    runs: AtomicU32,
}

impl Repairable {
    async fn handle(&self, tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        write(tx, note.data.number).await?;
        if self.repaired.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(HandlerError::permanent("not repaired yet"))
        }
    }

    fn consumer(self: &Arc<Self>, store: &SqliteStore) -> ConsumerBuilder<SqliteStore, SqliteSource> {
        consumer(store).on_with(Arc::clone(self), Self::handle)
    }
}

#[tokio::test]
async fn a_duplicate_of_a_dead_message_is_not_applied() {
    let console = Console::new().await;
    let handler = Arc::new(Repairable::default());
    let message = note(7);
    console.publish(std::slice::from_ref(&message)).await;
    let running = Running::start(handler.consumer(&console.store));
    running.until("it is dead", |stats| stats.dead == 1).await;

    // The repair alone must not let a duplicate be applied before the failed message.
    handler.repaired.store(true, Ordering::Relaxed);
    console.publish(&[message.clone(), note(8), message.clone()]).await;
    running.until("the note between is handled", |stats| stats.handled == 1 && stats.duplicates == 2).await;
    assert_eq!(console.notes().await, [8]);
    assert_eq!(console.failed_messages().await.len(), 1, "a duplicate makes no second failed message");

    let failed_message = console.failed_messages().await[0].id;
    console.retry(failed_message).await.unwrap();
    running.until("the failed message is applied", |stats| stats.handled == 2).await;
    assert_eq!(console.notes().await, [8, 7]);

    // Afterwards the id is done.
    console.publish(&[message]).await;
    running.until("another duplicate is passed", |stats| stats.duplicates == 3).await;
    running.stop().await;
    assert_eq!(console.notes().await, [8, 7]);
    assert_eq!(console.failed_messages().await[0].state, FailedMessageState::Resolved);
    assert_eq!(handler.runs.load(Ordering::Relaxed), 3, "the failed run, the other note, the retry");
}

#[tokio::test]
async fn duplicate_of_a_failed_record_in_its_batch_is_not_applied() {
    let console = Console::new().await;
    let handler = Arc::new(Repairable::default());
    handler.repaired.store(true, Ordering::Relaxed);
    let readable = note(7);
    let text = String::from_utf8(readable.payload.to_vec()).unwrap();
    let newer = text.replace(r#""dataVersion":"1.0""#, r#""dataVersion":"9.0""#);
    assert_ne!(newer, text);
    let newer = Message { payload: newer.into(), ..readable.clone() };
    console.publish(&[note(6), newer.clone(), readable, note(8)]).await;

    let running = Running::start(handler.consumer(&console.store));
    running
        .until("all are settled", |stats| stats.handled == 2 && stats.dead == 1 && stats.duplicates == 1)
        .await;
    running.stop().await;
    assert_eq!(console.notes().await, [6, 8]);
    let failed_messages = console.failed_messages().await;
    assert_eq!(failed_messages.len(), 1);
    assert_eq!(failed_messages[0].received.message.payload, newer.payload);
}

#[tokio::test]
async fn one_of_two_concurrent_retries_is_accepted_and_applied_once() {
    const FAILED_MESSAGES: i64 = 40;
    let console = Console::new().await;
    let second = console.second().await;
    let handler = Arc::new(Repairable::default());
    console.publish_notes(0..FAILED_MESSAGES).await;
    let running = Running::start(handler.consumer(&console.store));
    running.until("all are dead", |stats| stats.dead == FAILED_MESSAGES as u64).await;
    handler.repaired.store(true, Ordering::Relaxed);

    let barrier = Arc::new(Barrier::new(2));
    let ask = |store: SqliteStore, failed_messages: Vec<i64>| {
        let barrier = Arc::clone(&barrier);
        tokio::spawn(async move {
            let mut answers: Vec<Result<(), Error>> = Vec::new();
            for failed_message in failed_messages {
                barrier.wait().await;
                answers.push(retry(&store, failed_message).await);
            }
            answers
        })
    };
    let failed_messages: Vec<i64> =
        console.failed_messages().await.iter().map(|failed_message| failed_message.id).collect();
    let first = ask(console.store.clone(), failed_messages.clone());
    let other = ask(second.clone(), failed_messages);
    for (one, two) in first.await.unwrap().into_iter().zip(other.await.unwrap()) {
        assert_ne!(one.is_ok(), two.is_ok(), "{one:?} and {two:?}");
        assert_eq!(one.and(two).unwrap_err().kind(), ErrorKind::WrongState);
    }

    running.until("all are applied", |stats| stats.handled == FAILED_MESSAGES as u64).await;
    running.stop().await;
    second.close().await.unwrap();
    let mut notes = console.notes().await;
    notes.sort_unstable();
    assert_eq!(notes, (0..FAILED_MESSAGES).collect::<Vec<_>>());
    assert_eq!(
        handler.runs.load(Ordering::Relaxed),
        2 * FAILED_MESSAGES as u32,
        "one failed run and one retry each"
    );
}

#[tokio::test]
async fn a_failed_requested_retry_is_dead_and_can_be_requested_again() {
    let console = Console::new().await;
    let handler = Arc::new(Repairable::default());
    console.publish_notes([1]).await;
    let running = Running::start(handler.consumer(&console.store));
    running.until("it is dead", |stats| stats.dead == 1).await;
    let failed_message = console.failed_messages().await[0].id;
    console.retry(failed_message).await.unwrap();
    running.until("its requested run failed", |stats| stats.dead == 2).await;
    let dead = console.store.show(failed_message).await.unwrap();
    assert_eq!((dead.state, dead.reason), (FailedMessageState::Dead, StateReason::RequestedRunFailed));

    handler.repaired.store(true, Ordering::Relaxed);
    console.retry(failed_message).await.unwrap();
    running.until("it is applied", |stats| stats.handled == 1).await;
    let resolved = console.store.show(failed_message).await.unwrap();
    assert_eq!((resolved.state, resolved.reason), (FailedMessageState::Resolved, StateReason::Applied));
    let refused = console.retry(failed_message).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WrongState);
    assert!(refused.to_string().contains("is resolved"), "{refused}");
    let missing = console.retry(failed_message + 1).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    running.stop().await;
    assert_eq!(console.notes().await, [1]);
}

#[tokio::test]
async fn a_failed_message_set_aside_by_one_process_is_run_by_the_next() {
    let console = Console::new().await;
    let handler = Arc::new(Repairable::default());
    async fn fails(tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        write(tx, note.data.number).await?;
        Err(HandlerError::retryable("not in this process"))
    }
    console.publish_notes([1, 2, 3]).await;
    let never = Backoff::fixed(Duration::from_millis(600));
    let running = Running::start(console.consumer().on(fails).backoff(never).attempts(NonZeroU32::MAX));
    // Or more: a machine that stalls lets them run again.
    running.until("all are set aside", |stats| stats.set_aside >= 3).await;
    running.stop().await;
    assert!(console.notes().await.is_empty());

    handler.repaired.store(true, Ordering::Relaxed);
    let second = console.second().await;
    let running = Running::start(handler.consumer(&second));
    eventually("the other process applies them", SOON, async || console.notes().await.len() == 3).await;
    running.stop().await;
    second.close().await.unwrap();
    let mut notes = console.notes().await;
    notes.sort_unstable();
    assert_eq!(notes, [1, 2, 3]);
}
