//! A consumer from its start to the last event.

use std::time::{Duration, Instant};

use messagekit::{Consumer, Inbox, Shutdown, Source};

use crate::Outcome;

/// Runs a consumer until it has handled `events`, and returns how many it handled per second.
///
/// # Errors
/// What ended the consumer before that.
pub async fn drain<S: Inbox, Src: Source>(consumer: Consumer<S, Src>, events: usize) -> Outcome<f64> {
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let started = Instant::now();
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    while stats.read().handled < events as u64 && !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    shutdown.request();
    running.await??;
    Ok(events as f64 / seconds)
}
