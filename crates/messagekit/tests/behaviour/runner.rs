//! The parts of a process start together and stop in order.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use messagekit::{
    Consumer, Envelope, Error, ErrorKind, Event, HandlerError, Outbox, Runner, Shutdown, chain,
};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::fixture::{pass, seconds};
use crate::log::Log;

/// What happened to parts, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, entry: String) {
        self.0.lock().expect("no panic inside").push(entry);
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().expect("no panic inside").clone()
    }

    /// Returns a part that takes a second to stop.
    fn part(
        &self,
        name: &'static str,
    ) -> impl FnOnce(Shutdown) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>> + use<>
    {
        let diary = self.clone();
        move |shutdown| {
            Box::pin(async move {
                diary.note(format!("{name} starts"));
                shutdown.await;
                tokio::time::sleep(seconds(1)).await;
                diary.note(format!("{name} ends"));
                Ok(())
            })
        }
    }
}

#[tokio::test(start_paused = true)]
async fn parts_stop_in_reverse_order_one_after_another() {
    let (diary, shutdown) = (Diary::default(), Shutdown::new());
    let runner = Runner::new().part("health", diary.part("health")).part("relay", diary.part("relay"));
    let running = tokio::spawn(runner.part("billing", diary.part("billing")).run(shutdown.clone()));
    pass(seconds(60)).await;
    assert_eq!(diary.read(), ["health starts", "relay starts", "billing starts"]);
    shutdown.request();
    running.await.unwrap().expect("all have ended well");
    assert_eq!(diary.read()[3..], ["billing ends", "relay ends", "health ends"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_the_others_and_is_the_error() {
    let diary = Diary::default();
    let lost = |_| async {
        tokio::time::sleep(seconds(5)).await;
        Err(Error::new(ErrorKind::Schema, "tables are missing"))
    };
    let late = |shutdown: Shutdown| async move {
        shutdown.await;
        Err(Error::new(ErrorKind::Closed, "it could not stop"))
    };
    let runner = Runner::new().part("health", diary.part("health")).part("lost", lost).part("late", late);
    let error = runner.run(Shutdown::new()).await.expect_err("one has failed");
    assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Schema, "tables are missing (part lost)"));
    assert_eq!(diary.read(), ["health starts", "health ends"]);
}

#[tokio::test(start_paused = true)]
async fn panics_and_foreign_errors_are_failures_too() {
    let foreign = |_| async { Err(io::Error::other("port is taken")) };
    let error = Runner::new().part("http", foreign).run(Shutdown::new()).await.expect_err("it failed");
    assert_eq!((error.kind(), &*chain(&error)), (ErrorKind::Other, "part failed (part http): port is taken"));

    let panics = |_| async { if true { panic!("boom") } else { Ok::<(), Error>(()) } };
    let error = Runner::new().part("http", panics).run(Shutdown::new()).await.expect_err("it panicked");
    assert!(error.to_string().starts_with("part panicked (part http"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_ends_well_ends_no_other() {
    let (diary, shutdown) = (Diary::default(), Shutdown::new());
    let once = |_| async { Ok::<(), Error>(()) };
    let runner = Runner::new().part("billing", diary.part("billing")).part("migration", once);
    let running = tokio::spawn(runner.run(shutdown.clone()));
    pass(seconds(60)).await;
    assert!(!running.is_finished());
    shutdown.request();
    running.await.unwrap().expect("all have ended well");
    Runner::new().part("migration", once).run(Shutdown::new()).await.expect("nothing is left to wait for");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_runner_aborts_its_parts() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let part = |_| async move {
        std::future::pending::<()>().await;
        drop(held);
        Ok::<(), Error>(())
    };
    let running = tokio::spawn(Runner::new().part("held", part).run(Shutdown::new()));
    pass(seconds(1)).await;
    assert_eq!(Arc::strong_count(&alive), 2);
    running.abort();
    pass(seconds(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// Returns a part that never ends, and holds `held` until it is dropped.
fn ignores_its_shutdown(
    held: &Arc<()>,
) -> impl FnOnce(Shutdown) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>> + use<> {
    let held = Arc::clone(held);
    move |_| {
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_ignores_its_shutdown_hides_no_failure() {
    let (log, diary, held) = (Log::default(), Diary::default(), Arc::new(()));
    let _reading = log.begin();
    let lost = |_| async {
        tokio::time::sleep(seconds(5)).await;
        Err(Error::new(ErrorKind::Schema, "tables are missing"))
    };
    let runner = Runner::new()
        .part("health", diary.part("health"))
        .part("stubborn", ignores_its_shutdown(&held))
        .part("lost", lost);
    let began = Instant::now();
    let error = tokio::time::timeout(seconds(3_600), runner.run(Shutdown::new())).await.expect("it returns");
    let error = error.expect_err("one has failed");
    assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Schema, "tables are missing (part lost)"));
    assert_eq!(began.elapsed().as_secs(), 5 + 60 + 1, "the failure, the limit, and the end of health");
    assert_eq!(diary.read(), ["health starts", "health ends"]);
    assert_eq!(Arc::strong_count(&held), 1, "the part is dropped");
    assert_eq!(log.lines("part ignores its shutdown").len(), 1);
    assert_eq!(
        log.lines("did not stop within its limit, and was aborted (part stubborn, limit 60s)").len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_that_ignores_its_shutdown_is_an_error_with_its_name() {
    let (diary, held, shutdown) = (Diary::default(), Arc::new(()), Shutdown::new());
    shutdown.request();
    let runner = Runner::new().part("health", diary.part("health"));
    let runner = runner.part_with_stop_limit("stubborn", seconds(5), ignores_its_shutdown(&held));
    let error = tokio::time::timeout(seconds(3_600), runner.run(shutdown)).await.expect("it returns");
    let error = error.expect_err("a part did not stop");
    let text = "part did not stop within its limit, and was aborted (part stubborn, limit 5s)";
    assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Other, text));
    assert_eq!(diary.read(), ["health starts", "health ends"]);
}

#[tokio::test(start_paused = true)]
async fn a_part_with_a_longer_limit_may_use_it() {
    let (diary, shutdown) = (Diary::default(), Shutdown::new());
    shutdown.request();
    let slow = |shutdown: Shutdown| async move {
        shutdown.await;
        tokio::time::sleep(seconds(3_000)).await;
        Ok::<(), Infallible>(())
    };
    let runner = Runner::new().part("health", diary.part("health"));
    let began = Instant::now();
    runner.part_with_stop_limit("slow", Duration::MAX, slow).run(shutdown).await.expect("all end well");
    assert_eq!(began.elapsed().as_secs(), 3_001);
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

async fn bill(takes: &Duration, tx: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    tokio::time::sleep(*takes).await;
    tx.add("bills", 1);
    Ok(())
}

/// Runs a consumer whose only handler call takes `takes`, stops it in the middle, and returns its store.
async fn stopped_in_a_handler(takes: Duration) -> MemoryStore {
    let (log, shutdown) = (MemoryLog::new(1), Shutdown::new());
    let store = MemoryStore::with_log(&log);
    let outbox = Outbox::new(store.clone(), "shop").expect("a name");
    let order = OrderPlaced { order_id: "o-1".to_owned() };
    outbox.transaction(async |tx| Ok(outbox.add(tx, order).await?)).await.expect("it commits");
    let consumer = Consumer::builder("billing", store.clone()).from(log).on_with(Arc::new(takes), bill);
    let consumer = consumer.deadline(seconds(3_600)).build().expect("it is complete");
    let runner = Runner::new().part("billing", |shutdown| consumer.run(shutdown));
    let running = tokio::spawn(runner.run(shutdown.clone()));
    pass(seconds(1)).await;
    shutdown.request();
    running.await.expect("no panic").expect("a consumer stops by itself");
    store
}

#[tokio::test(start_paused = true)]
async fn a_consumer_ends_its_batch_before_its_part_is_aborted() {
    assert_eq!(stopped_in_a_handler(seconds(29)).await.get("bills"), 1, "the batch was finished");
    assert_eq!(stopped_in_a_handler(seconds(3_000)).await.get("bills"), 0, "its handler was cancelled");
}

/// Real time: the clock of a runtime does not pass while one of its threads is blocked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_part_that_blocks_its_thread_is_named_and_left_behind() {
    let (release, blocked) = mpsc::channel::<()>();
    let blocks = |_| async move {
        let _ = blocked.recv();
        Ok::<(), Infallible>(())
    };
    let shutdown = Shutdown::new();
    shutdown.request();
    let runner = Runner::new().part_with_stop_limit("blocks", Duration::from_millis(50), blocks);
    let error =
        tokio::time::timeout(seconds(60), runner.run(shutdown)).await.expect("it returns without the part");
    let text = "part did not stop within its limit, and blocks its thread: end the process (part blocks, limit 50ms)";
    assert_eq!(error.expect_err("a part did not stop").to_string(), text);
    drop(release);
}
