//! Ends the process when a test hangs. A loop that never yields stops the paused clock too, and with it every timeout.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long nothing may happen, on a machine that many other programs use.
const SILENCE: Duration = Duration::from_secs(300);

/// The number of worlds that began and of handlers that ran.
static BEATS: AtomicU64 = AtomicU64::new(0);

/// Watches from now on.
#[expect(clippy::print_stderr, reason = "the last word of the process")]
pub(crate) fn begin() {
    static WATCH: Once = Once::new();
    beat();
    WATCH.call_once(|| {
        std::thread::spawn(|| {
            loop {
                let before = BEATS.load(Ordering::Relaxed);
                std::thread::sleep(SILENCE);
                if BEATS.load(Ordering::Relaxed) == before {
                    eprintln!("a test has hung for five minutes");
                    std::process::abort();
                }
            }
        });
    });
}

/// Says that something happens.
pub(crate) fn beat() {
    BEATS.fetch_add(1, Ordering::Relaxed);
}
