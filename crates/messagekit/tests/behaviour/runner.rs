//! The parts of a process start together and stop in order.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use messagekit::{Error, ErrorKind, Runner, Shutdown, chain};

use crate::fixture::{pass, seconds};

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
