//! The rate of a running contender.

use std::time::{Duration, Instant};

use super::Outcome;

/// Waits until `done` reports that all is done or `ended` that no more will come. Returns the rate per second
/// after the first `warm` ones.
pub(crate) async fn pace(
    all: usize,
    warm: usize,
    done: impl Fn() -> u64 + Send,
    ended: impl Fn() -> bool + Send,
) -> Outcome<f64> {
    let warm = warm.min(all / 2) as u64;
    let (mut count, mut began) = (0, None);
    while count < all as u64 && !ended() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        count = done();
        if count >= warm && began.is_none() {
            began = Some((Instant::now(), count));
        }
    }
    let (began, before) = began.ok_or("it ended before it was warm")?;
    Ok((count - before) as f64 / began.elapsed().as_secs_f64())
}
