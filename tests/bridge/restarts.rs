//! Kafka crashes and freezes repeatedly under a bridge, which reads from it and writes its dead letters to it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use messagekit::Message;
use messagekit::adapter::Publisher;
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{block_on, eventually, unique};
use messagekit_tests::services::{self, Frozen, Service};
use messagekit_tests::{broker_failures, given_up_after};

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, make_topic, order, settled};
use crate::stage::{PATIENCE, Stage};

/// The number of messages in each topic after each restart.
const BATCH: usize = 500;

/// Publishes until every message is accepted, and returns the number of refused attempts.
async fn publish(publisher: &KafkaPublisher, messages: &[Message]) -> usize {
    let (mut left, mut failed) = (messages.to_vec(), 0);
    while !left.is_empty() {
        let mut results = publisher.publish(&left).await.into_iter();
        left.retain(|_| results.next().expect("one result per message").is_err());
        failed += usize::from(!left.is_empty());
    }
    failed
}

#[test]
fn a_bridge_goes_on_by_itself_after_every_restart_of_kafka() {
    let _turn = TURNS.alone();
    block_on(async {
        let mut stage = Stage::alone(2).await;
        stage.session = 6;
        let queue = stage.bound_queue("all").await;
        // Messages to the other exchange have no queue, and become dead letters on a topic of Kafka.
        let (unwanted, exchange) = (stage.queue("unwanted"), stage.queue("nowhere"));
        make_topic(&unwanted, 1).await;
        stage.rabbit.exchange(&exchange).await;
        let rule = format!("[[rule]]\ntopics = [\"{unwanted}\"]\nexchange = \"{exchange}\"\n");
        let mut bridge = stage.start_with(&(stage.settings("") + &rule), &[]);
        bridge.ready().await;
        let kafka = Kafka::new(services::kafka()).set("delivery.timeout.ms", given_up_after()).unwrap();
        let publisher = kafka.publisher().unwrap();
        let (mut wanted, mut dead, mut longest) = (Vec::new(), Vec::new(), Duration::ZERO);
        for restart in 0..=broker_failures() {
            let numbers = wanted.len()..wanted.len() + BATCH;
            let more: Vec<Message> = numbers.clone().map(|n| order(&stage.topic, "wanted", n)).collect();
            let more_dead: Vec<Message> = numbers.map(|n| order(&unwanted, "unwanted", n)).collect();
            let since = Instant::now();
            publish(&publisher, &more).await;
            publish(&publisher, &more_dead).await;
            wanted.extend(more);
            dead.extend(more_dead);
            // In the middle of its work, except for the last time.
            let open = if restart < broker_failures() { BATCH / 2 } else { 0 };
            let topics = [(&stage.topic, stage.partitions, wanted.len()), (&unwanted, 1, dead.len())];
            eventually("the bridge goes on", PATIENCE, async || {
                bridge.process.is_alive_still();
                let mut all = true;
                for (topic, partitions, count) in topics {
                    all &= settled(&stage.name, topic, partitions).await >= (count - open) as i64;
                }
                all
            })
            .await;
            longest = longest.max(since.elapsed());
            if restart == broker_failures() {
                break;
            }
            if restart % 3 == 1 {
                let frozen = Frozen::new(Service::Kafka);
                let probe = [order(&stage.topic, "wanted", wanted.len())];
                eventually("a publish is given up", PATIENCE, async || {
                    publisher.publish(&probe).await.iter().any(Result::is_err)
                })
                .await;
                drop(frozen);
                publish(&publisher, &probe).await;
                wanted.extend(probe);
            } else {
                services::kill(Service::Kafka);
                services::start(Service::Kafka);
            }
        }
        eprintln!("{} restarts, the longest pause {longest:.1?}", broker_failures());
        // Duplicates count as settled records too, so the last messages may still be in flight.
        let mut found = BTreeSet::new();
        eventually("every message is in the queue", PATIENCE, async || {
            found.extend(stage.rabbit.drain(&queue).await.iter().map(id_of));
            found == ids(&wanted)
        })
        .await;
        let source = Kafka::new(services::kafka()).topics([stage.dead()]);
        let subscriber = messagekit::adapter::Source::bind(source, &unique("reader"), &[]).await.unwrap();
        let dead_letters = Receiver::new(subscriber, "reader").take_distinct(dead.len()).await;
        let dead_letters: Vec<Message> = dead_letters.into_iter().map(|delivery| delivery.message).collect();
        assert_eq!(ids(&dead_letters), ids(&dead));
        bridge.process.stop().await;
    });
}
