//! Calls from Python into asynchronous code.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::errors::NativeError;

/// The runtime has the timers and the tasks in the background. Calls are polled on their own threads, so that a function of the user
/// runs where its call came from, and may call again.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn runtime() -> PyResult<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread().worker_threads(1).thread_name("messagekit").enable_all().build();
    let made = made.map_err(|error| NativeError::new_err(("unavailable", error.to_string(), "{}")))?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// How often a signal is looked for while a call waits: at 100 ms an idle follower took 0.17 % of a core.
const TICK: Duration = Duration::from_millis(300);

/// How long a call looks for its answer before it sleeps: about as long as it takes to wake a thread.
const ATTENTION: Duration = Duration::from_micros(50);

/// The thread that waits for a call.
struct Caller {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Caller {
    fn of_this_thread() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), woken: AtomicBool::new(true) })
    }

    /// Waits at most a tick, and returns whether it was woken.
    fn is_woken(&self) -> bool {
        let until = Instant::now() + ATTENTION;
        loop {
            if self.woken.swap(false, Ordering::Acquire) {
                return true;
            }
            if Instant::now() >= until {
                thread::park_timeout(TICK);
                return self.woken.swap(false, Ordering::Acquire);
            }
            thread::yield_now();
        }
    }
}

/// Awaits a call. The interpreter is free meanwhile: it is detached before anything locks or waits. A signal handler that raises ends the
/// call, whose outcome is unknown then.
pub(crate) fn answer<T: Send>(py: Python<'_>, call: impl Future<Output = T> + Send) -> PyResult<T> {
    let runtime = runtime()?;
    py.detach(|| {
        let _inside = runtime.enter();
        let mut call = pin!(call);
        let caller = Caller::of_this_thread();
        let waker = Waker::from(Arc::clone(&caller));
        let mut cx = Context::from_waker(&waker);
        let mut looked = Instant::now();
        loop {
            let is_woken = caller.is_woken();
            // Also a call that is woken all the time, as one that waits for a lock, is interrupted.
            if !is_woken || looked.elapsed() >= TICK {
                looked = Instant::now();
                Python::attach(|py| py.check_signals())?;
            }
            if is_woken && let Poll::Ready(answer) = call.as_mut().poll(&mut cx) {
                return Ok(answer);
            }
        }
    })
}
