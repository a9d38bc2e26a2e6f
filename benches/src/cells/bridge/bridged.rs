//! The bridge from the first confirm to the last.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::Shutdown;
use messagekit_bridge::{Bridge, Rule};
use messagekit_kafka::Kafka;
use messagekit_rabbitmq::RabbitMq;

use crate::frame::Outcome;
use crate::resources::{Queue, Topic};
use crate::settings::Settings;

/// Forwards the whole topic and returns how many messages were confirmed per second. The time to join the group is not
/// counted: it depends on Kafka's settings.
pub(super) async fn forward(
    settings: &Settings,
    topic: &Topic,
    queue: &Queue,
    count: usize,
    unconfirmed: usize,
) -> Outcome<f64> {
    let kafka = Kafka::new(settings.kafka()?);
    let rabbitmq = RabbitMq::new(settings.rabbitmq()?)?.window(unconfirmed);
    let retry = Bridge::retry_topic(&topic.name);
    let bridge = Bridge::builder(topic.name.as_str())
        .from(kafka.topics([topic.name.as_str().into(), retry]))
        .rule(Rule::new([topic.name.as_str()], Arc::new(rabbitmq.publisher_to(&queue.name))))
        .dead_letters(Arc::new(kafka.publisher()?), format!("{}.dead", topic.name))
        .unconfirmed(NonZeroUsize::new(unconfirmed).ok_or("no window")?)
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
    Ok((count as u64 - before) as f64 / seconds)
}
