//! A provider that answers late, on a file: a handler in two phases holds no lock while it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use messagekit::{Envelope, HandlerError};
use messagekit_sqlite::SqliteTx;
use tokio::sync::Notify;

use crate::console::{self, Console, NoteTaken, Running, patient, write};

/// The time for which a transaction may hold the write lock.
const LIMIT: Duration = Duration::from_millis(250);

/// Answers when a writer has committed.
#[derive(Default)]
struct Provider {
    calls: AtomicU32,
    called: Notify,
    may_answer: Notify,
}

impl Provider {
    async fn ask(&self, _: &Envelope<NoteTaken>) -> i64 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.called.notify_one();
        self.may_answer.notified().await;
        7
    }

    async fn charge(&self, note: Envelope<NoteTaken>) -> Result<i64, HandlerError> {
        Ok(self.ask(&note).await)
    }

    async fn book(
        &self,
        tx: &mut SqliteTx,
        _: Envelope<NoteTaken>,
        answer: &i64,
    ) -> Result<(), HandlerError> {
        write(tx, *answer).await?;
        Ok(())
    }

    async fn in_one_phase(&self, tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        let answer = self.ask(&note).await;
        write(tx, answer).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_writer_commits_while_a_call_waits() {
    let console = Console::new().await;
    let provider = Arc::new(Provider::default());
    console.publish_notes(0..1).await;
    let consumer = console.consumer().on_call_with(Arc::clone(&provider), Provider::charge, Provider::book);
    let running = Running::start(consumer);
    provider.called.notified().await;
    // The call is answered only after this commit: with a lock it would be cut off at its deadline, and made again.
    console.change("INSERT INTO notes (number) VALUES (1)").await;
    provider.may_answer.notify_one();
    running.until("it is handled", |stats| stats.handled == 1).await;
    let stats = running.stop().await;
    assert_eq!(console.notes().await, [1, 7]);
    assert_eq!((provider.calls.load(Ordering::Relaxed), stats.rolled_back), (1, 0));
}

#[tokio::test]
async fn the_lock_error_names_limit_setting_and_form() {
    let console = Console::new().await;
    let provider = Arc::new(Provider::default());
    console.publish_notes(0..1).await;
    let hasty = patient().transaction_timeout(LIMIT).open(console.path()).await.unwrap();
    let consumer = console::consumer(&hasty).on_with(Arc::clone(&provider), Provider::in_one_phase);
    let running = Running::start(consumer);
    running.until("it has failed", |stats| stats.set_aside + stats.dead > 0).await;
    running.stop().await;
    let error = console.failed_messages().await.remove(0).error.clone();
    for part in ["250ms", "`transaction_timeout`", "`on_call`"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(provider.calls.load(Ordering::Relaxed) > 1, "it was called at each run");
}
