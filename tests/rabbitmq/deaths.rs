//! Messages that die: delivered too often, or unroutable after their death.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::{BasicGetOptions, BasicNackOptions, BasicRejectOptions};
use lapin::types::AMQPValue;
use messagekit::headers;
use messagekit_rabbitmq::Queue;
use messagekit_testkit::transport::text;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{depth, holds, join, message, outside, publish, rabbit, unbind};

struct Deadly {
    queue: Arc<str>,
    dead: Arc<str>,
    exchange: String,
}

/// Creates a queue whose dead messages go through an exchange to a second queue.
async fn deadly(limit: u32) -> Deadly {
    let (queue, dead, exchange) = (unique("queue"), unique("dead"), unique("exchange"));
    let topology = rabbit().topology().exchange(&exchange);
    let topology = topology.queue(Queue::quorum(&queue).delivery_limit(limit).dead_letter(&exchange, &queue));
    let topology = topology.queue(Queue::dead_letters(&dead)).bind(&dead, &exchange, &queue);
    topology.declare().await.unwrap();
    Deadly { queue: queue.into(), dead: dead.into(), exchange }
}

/// Takes a message and requeues it. Returns its delivery count, or `None` when the queue is empty.
async fn requeue(queue: &str) -> Option<i64> {
    let (_connection, channel) = outside().await;
    let got = channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()?;
    let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    channel.basic_nack(got.delivery_tag, options).await.unwrap();
    channel.close(200, "done".into()).await.unwrap();
    let table = got.properties.headers().clone().unwrap_or_default();
    Some(match table.inner().get("x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => *count,
        _ => 0,
    })
}

#[test]
fn a_message_requeued_over_the_limit_is_kept_as_failed_message() {
    block_on(async {
        let Deadly { queue, dead, .. } = deadly(20).await;
        publish(&[message(&queue, Some("k"), "m-1").with_header("tenant", "north")]).await;
        let mut counts = Vec::new();
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            match requeue(&queue).await {
                Some(count) => counts.push(count),
                // It is dead, or not yet requeued from the connection that was just closed.
                None if depth(&dead).await == 1 => break,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        assert_eq!(counts, (0..=20).collect::<Vec<i64>>(), "each delivery counts one");
        holds(&dead, 1).await;
        let mut receiver = join(&rabbit(), &dead).await;
        let failed_message = receiver.message().await.message;
        assert_eq!(
            (failed_message.headers.text(headers::ID), failed_message.key.as_deref()),
            (Some("m-1"), Some(&b"k"[..]))
        );
        assert_eq!(failed_message.headers.text("tenant"), Some("north"));
        assert_eq!(&*failed_message.topic, &*dead);
        let deaths = failed_message.headers.text(headers::X_DEATH).unwrap();
        let deaths: serde_json::Value = serde_json::from_str(deaths).unwrap();
        let death = &deaths[0];
        assert_eq!(death["queue"], *queue);
        assert_eq!(death["reason"], "delivery_limit");
        assert_eq!((death["count"].as_i64(), death["exchange"].as_str()), (Some(1), Some("")));
        assert_eq!(death["routing-keys"][0], *queue);
        assert!(death["time"].is_u64(), "{death}");
        let names: Vec<&str> = failed_message.headers.iter().map(|(name, _)| name).collect();
        assert!(
            names.iter().all(|name| !name.starts_with("x-first-death") && *name != "x-delivery-count"),
            "{names:?}"
        );
    });
}

#[test]
fn dead_letter_without_a_route_arrives_after_the_queue_is_bound() {
    // Longer than the limit of other tests: with its defaults the broker routes such a message again after three minutes.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let Deadly { queue, dead, exchange } = deadly(20).await;
        unbind(&dead, &exchange, &queue).await;
        publish(&[message(&queue, None, "m-1")]).await;
        let (_connection, channel) = outside().await;
        let got = channel.basic_get((&*queue).into(), BasicGetOptions::default()).await.unwrap().unwrap();
        channel.basic_reject(got.delivery_tag, BasicRejectOptions { requeue: false }).await.unwrap();
        eventually("it is not in the queue any more", DEADLINE, async || depth(&queue).await == 0).await;
        assert_eq!(depth(&dead).await, 0);
        rabbit().topology().bind(&*dead, &exchange, &*queue).declare().await.unwrap();
        let mut receiver = join(&rabbit(), &dead).await;
        let failed_message = receiver.message_within(Duration::from_secs(600)).await.expect("it arrives");
        assert_eq!(text(&failed_message), "m-1");
    });
}
