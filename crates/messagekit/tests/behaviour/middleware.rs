//! Middleware shares the handlers' transaction, deadline and outcome.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use messagekit::handler::Inner;
use messagekit::{Claim, HandlerError, Middleware};
use messagekit_memory::{MemoryStore, MemoryTx};

use crate::fixture::{Action, World, pass, seconds, start, until};

/// Records entry and exit, and writes in the transaction.
struct Noted {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Noted {
    fn note(&self, what: &str) {
        self.notes.lock().expect("no panic").push(format!("{} {what}", self.name));
    }
}

#[async_trait]
impl Middleware<MemoryStore> for Noted {
    async fn handle(&self, tx: &mut MemoryTx, inner: Inner<'_, MemoryStore>) -> Result<(), HandlerError> {
        assert_eq!(inner.event_type(), Some("orders.order.placed"));
        self.note(&format!("in {}", inner.delivery().attempt));
        tx.add(self.name, 1);
        let answer = inner.run(tx).await;
        self.note(if answer.is_ok() { "ok" } else { "failed" });
        answer
    }
}

/// Rejects every message, or succeeds without calling the handler.
struct Guard(Result<(), &'static str>);

#[async_trait]
impl Middleware<MemoryStore> for Guard {
    async fn handle(&self, _: &mut MemoryTx, inner: Inner<'_, MemoryStore>) -> Result<(), HandlerError> {
        assert!(!inner.message().payload.is_empty());
        self.0.map_err(HandlerError::permanent)
    }
}

#[tokio::test(start_paused = true)]
async fn middleware_runs_outermost_first_and_rolls_back_with_effects() {
    let world = World::new(1);
    world.script.next("a-1", [Action::Fail]);
    world.push_all("a", 1).await;
    let notes = Arc::default();
    let noted = |name| Noted { name, notes: Arc::clone(&notes) };
    let consumer = start(world.billing().wrap(noted("outer")).wrap(noted("inner")));
    until(|| world.applied().len() == 1).await;
    consumer.stop().await;
    let run = |attempt: u32, end: &str| {
        [
            format!("outer in {attempt}"),
            format!("inner in {attempt}"),
            format!("inner {end}"),
            format!("outer {end}"),
        ]
    };
    assert_eq!(*notes.lock().unwrap(), [run(1, "failed"), run(2, "ok")].concat(), "retries pass it too");
    assert_eq!((world.store.get("outer"), world.store.get("inner")), (1, 1), "the failed run left nothing");
}

#[tokio::test(start_paused = true)]
async fn its_error_is_the_handlers_error_and_its_ok_marks_the_message() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    let refused = start(world.billing().wrap(Guard(Err("no such tenant"))));
    until(|| world.failed_messages_now() == 1).await;
    refused.stop().await;
    assert_eq!(world.failed_message("a-1").await.error, "no such tenant");

    let passed = start(world.consumer("audit").wrap(Guard(Ok(()))));
    until(|| world.store.marker("audit", &crate::fixture::id("a-1")) == Some(Claim::Done)).await;
    passed.stop().await;
    assert_eq!(world.script.runs().len(), 0, "the handler never ran");
}

/// Never completes.
struct Stuck;

#[async_trait]
impl Middleware<MemoryStore> for Stuck {
    async fn handle(&self, _: &mut MemoryTx, _: Inner<'_, MemoryStore>) -> Result<(), HandlerError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn the_handlers_deadline_counts_for_it_as_well() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    let consumer = start(world.billing().deadline(seconds(2)).wrap(Stuck));
    pass(seconds(3)).await;
    assert_eq!(world.failed_message("a-1").await.kind.as_str(), "too_slow");
    consumer.stop().await;
}
