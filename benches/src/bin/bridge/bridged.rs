//! The bridge from the first confirm to the last.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::Shutdown;
use messagekit::bridge::{Bridge, Rule};
use messagekit_benches::Outcome;

use crate::place::Place;

/// Forwards the whole topic under a new name and returns how many messages were confirmed per second. Joining the group is not
/// counted: it is a matter of Kafka's settings.
pub(crate) async fn forward(place: &Place, count: usize) -> Outcome<f64> {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let name = format!("{}.{since}", place.name);
    let retry = Bridge::retry_topic(&name);
    let bridge = Bridge::builder(name)
        .from(place.kafka.topics([place.name.as_str().into(), retry]))
        .rule(Rule::new([place.name.as_str()], Arc::new(place.rabbitmq.publisher_to(&place.name))))
        .dead_letters(Arc::new(place.kafka.publisher()?), format!("{}.dead", place.name))
        .unconfirmed(NonZeroUsize::new(place.unconfirmed).ok_or("no window")?)
        .build()?;
    let (stats, shutdown) = (bridge.stats(), Shutdown::new());
    let running = tokio::spawn(bridge.run(shutdown.clone()));
    let mut started = None;
    let (mut before, mut forwarded) = (0, 0);
    while forwarded < count as u64 && !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        forwarded = stats.read().forwarded;
        if forwarded > 0 && started.is_none() {
            started = Some(Instant::now());
            before = forwarded;
        }
    }
    let seconds = started.ok_or("nothing was forwarded")?.elapsed().as_secs_f64();
    shutdown.request();
    running.await??;
    place.take(count).await?;
    Ok((count as u64 - before) as f64 / seconds)
}
