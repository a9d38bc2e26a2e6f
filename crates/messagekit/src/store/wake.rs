//! Waking the relays of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Delays between adding an event and the hints that its transaction may have committed.
const HINTS: [Duration; 3] = [Duration::from_millis(2), Duration::from_millis(10), Duration::from_millis(50)];

/// A commit notification that a store and its clones share with the relays of their process.
///
/// It is always a hint: a relay that was not woken finds the events by polling.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let wake = messagekit::adapter::Wake::default();
/// wake.wake();
/// wake.woken().await; // at once: the hint waits for the next call
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Wake {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    news: Notify,
    /// True once a relay has waited: without a relay in this process, hints have no effect.
    is_heard: AtomicBool,
    hinting: Mutex<Hinting>,
    /// Notified when events are added while hints are being sent.
    more: Notify,
}

#[derive(Debug, Default)]
struct Hinting {
    is_running: bool,
    latest: Option<Instant>,
}

impl Wake {
    /// Reports a commit.
    pub fn wake(&self) {
        self.shared.news.notify_one();
    }

    /// Reports that an event was added to a transaction that other code commits. Hints follow after 2, 10 and 50 ms, sent by
    /// one task for any number of events.
    pub fn added(&self) {
        if !self.shared.is_heard.load(Ordering::Relaxed) {
            return;
        }
        let mut hinting = self.shared.hinting();
        hinting.latest = Some(Instant::now());
        if hinting.is_running {
            self.shared.more.notify_one();
        } else if let Ok(runtime) = Handle::try_current() {
            hinting.is_running = true;
            runtime.spawn(give_hints(Running(Arc::clone(&self.shared))));
        }
    }

    /// Completes when a commit was reported since the last completion. If several tasks wait, one of them completes.
    ///
    /// # Cancel safety
    /// A dropped call loses no notification.
    pub async fn woken(&self) {
        self.shared.is_heard.store(true, Ordering::Relaxed);
        self.shared.news.notified().await;
    }
}

impl Shared {
    fn hinting(&self) -> MutexGuard<'_, Hinting> {
        self.hinting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exclusive right to send hints. It ends with the task, even if the runtime shuts down.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.hinting().is_running = false;
    }
}

async fn give_hints(running: Running) {
    let shared = &running.0;
    // Later additions never postpone the next hint.
    let mut promised = None;
    // The last addition for which a hint was sent: after a pause of the machine, at least one hint is still due.
    let mut hinted = None;
    loop {
        let next = {
            let mut hinting = shared.hinting();
            let now = Instant::now();
            let latest = hinting.latest;
            let of_latest = HINTS.into_iter().filter_map(|hint| Some(latest? + hint)).find(|at| *at > now);
            let owed = (latest != hinted).then_some(now);
            match promised.into_iter().chain(of_latest.or(owed)).min() {
                Some(next) => next,
                None => {
                    // Reset under the lock, so the next addition starts a new task.
                    hinting.is_running = false;
                    return;
                }
            }
        };
        promised = Some(next);
        tokio::select! {
            () = sleep_until(next) => {
                promised = None;
                hinted = shared.hinting().latest;
                shared.news.notify_one();
            }
            () = shared.more.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_woken(wake: &Wake) -> bool {
        pin!(wake.woken()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn wake_waits_for_the_next_caller_and_is_delivered_once() {
        let wake = Wake::default();
        wake.wake();
        wake.wake();
        assert!(is_woken(&wake.clone()));
        assert!(!is_woken(&wake));
    }

    #[tokio::test(start_paused = true)]
    async fn event_that_is_added_gives_three_hints() {
        let wake = Wake::default();
        assert!(!is_woken(&wake));
        let added = Instant::now();
        wake.added();
        for at in HINTS {
            wake.woken().await;
            let after = added.elapsed();
            assert!(after >= at && after < at + Duration::from_millis(2), "{after:?} for {at:?}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!is_woken(&wake), "the last hint was the last");
        assert!(!wake.shared.hinting().is_running);
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_never_cease_put_no_hint_off() {
        let wake = Wake::default();
        assert!(!is_woken(&wake));
        let adding = wake.clone();
        tokio::spawn(async move {
            loop {
                adding.added();
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        });
        for _ in 0..10 {
            let started = Instant::now();
            wake.woken().await;
            assert!(started.elapsed() <= Duration::from_millis(4), "{:?}", started.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn added_events_without_a_relay_start_no_hints() {
        let wake = Wake::default();
        wake.added();
        assert!(!wake.shared.hinting().is_running);
    }
}
