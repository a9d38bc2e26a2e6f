//! The writer thread polls a handler's work again whenever it is woken.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::thread;

use crate::orders::in_every_order;
use crate::unpark::Unpark;

const TIMES: u32 = 2;

/// Serves work that is ready after `TIMES` wakes. The last wake may come before, between or after check and wait.
fn serve(wake: fn(&Waker)) {
    let unpark = Unpark::of_this_thread();
    let (waker, done) = (Waker::from(Arc::clone(&unpark)), Arc::new(AtomicU32::new(0)));
    let handler = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            for _ in 0..TIMES {
                done.fetch_add(1, Ordering::Relaxed);
                wake(&waker);
            }
        }
    });
    loop {
        // Relaxed above and here: the wake itself must publish the earlier writes.
        if unpark.take() && done.load(Ordering::Relaxed) == TIMES {
            break;
        }
        unpark.wait(Duration::from_secs(1));
    }
    handler.join().unwrap();
}

#[test]
fn no_wake_of_the_writer_thread_is_lost() {
    in_every_order(|| serve(Waker::wake_by_ref));
}

#[test]
#[should_panic(expected = "deadlock")]
fn work_that_wakes_no_caller_is_found() {
    in_every_order(|| serve(|_| {}));
}
