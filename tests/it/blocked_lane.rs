//! A consumer that blocks: its lane waits for the failing message, and the order of each key is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use messagekit::{Backoff, Envelope, HandlerError, OnFailure};
use messagekit_sqlite::SqliteTx;
use messagekit_testkit::eventually;

use crate::console::{Console, NoteTaken, Running, write};
use crate::time::SOON;

const CULPRIT: i64 = 5;
const NOTES: i64 = 20;

#[derive(Default)]
struct Repairable {
    repaired: AtomicBool,
    runs: AtomicU32,
}

impl Repairable {
    async fn handle(&self, tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        write(tx, note.data.number).await?;
        if note.data.number != CULPRIT {
            return Ok(());
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        // Blocking ignores whether a retry is useful.
        if self.repaired.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(HandlerError::permanent("not repaired yet"))
        }
    }
}

#[tokio::test]
async fn a_failing_message_blocks_its_lane_until_it_succeeds() {
    let console = Console::new().await;
    let handler = Arc::new(Repairable::default());
    console.publish_notes(0..NOTES).await;
    let consumer = || {
        console
            .consumer()
            .on_with(Arc::clone(&handler), Repairable::handle)
            .on_failure(OnFailure::Block)
            .backoff(Backoff::fixed(Duration::from_millis(5)))
    };
    let running = Running::start(consumer());
    let tried_again = async || handler.runs.load(Ordering::Relaxed) >= 4;
    eventually("the culprit is tried again and again", SOON, tried_again).await;
    assert_eq!(
        console.notes().await,
        (0..CULPRIT).collect::<Vec<_>>(),
        "what stood before it is applied, and no more"
    );

    // A restart of the process changes nothing.
    running.stop().await;
    let running = Running::start(consumer());
    let before = handler.runs.load(Ordering::Relaxed);
    eventually("it is tried by the next one", SOON, async || handler.runs.load(Ordering::Relaxed) > before)
        .await;
    assert_eq!(console.notes().await, (0..CULPRIT).collect::<Vec<_>>());

    handler.repaired.store(true, Ordering::Relaxed);
    eventually("everything is applied", SOON, async || console.notes().await.len() as i64 == NOTES).await;
    running.stop().await;
    assert_eq!(console.notes().await, (0..NOTES).collect::<Vec<_>>());
    assert!(console.failed_messages().await.is_empty());
}
