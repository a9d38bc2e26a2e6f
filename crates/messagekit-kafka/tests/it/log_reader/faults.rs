//! Brokers that fail, memory that is bounded, and threads that end.

use std::time::Duration;

use messagekit::log::{Log, Page, PartitionStart};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::{Reader, Topic, all, offsets_of};
use crate::log;
use crate::mock::Mock;

#[test]
fn a_spurious_refusal_of_an_offset_is_survived() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..10);
        let mut reader = topic.open(&[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_ends(1).await[&0].1, [10]);
        topic.mock.call(|cluster| {
            let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE; 2];
            cluster.request_errors(RDKafkaApiKey::Fetch, &errors);
        });
        topic.publish(0, 10..15);
        let mut seen = Vec::new();
        while seen.len() < 5 {
            if let Page::Records(records) = reader.page(9).await {
                seen.extend(offsets_of(&records));
            }
        }
        assert_eq!(seen, [10, 11, 12, 13, 14]);
    });
}

#[test]
fn reading_goes_on_when_the_leader_moves() {
    block_on(async {
        let mock = Mock::of_brokers(2);
        let (name, log) = (unique("topic"), mock.kafka().log());
        mock.create_topic(&name, 1);
        let topic = Topic { mock, log, name: name.into() };
        let mut reader = topic.open(&[(0, PartitionStart::Earliest)]).await;
        let mut seen = Vec::new();
        for (round, leader) in (0..6).zip([1, 2].into_iter().cycle()) {
            let name = topic.name.clone();
            topic.mock.call(move |cluster| cluster.partition_leader(&name, 0, Some(leader))).unwrap();
            topic.publish(0, round * 10..round * 10 + 10);
            while seen.len() < (round + 1) * 10 {
                if let Page::Records(records) = reader.page(100).await {
                    seen.extend(offsets_of(&records));
                }
            }
        }
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    });
}

#[test]
fn a_reader_waits_for_its_broker_with_transient_errors() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..10);
        let mut reader = topic.open(&[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_ends(1).await[&0].1, [10]);
        topic.mock.call(|cluster| cluster.broker_down(1)).unwrap();
        let error = reader.next(9).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        topic.mock.call(|cluster| cluster.broker_up(1)).unwrap();
        topic.publish(0, 10..12);
        assert_eq!(offsets_of(&reader.records(9).await)[0], 10);
    });
}

/// The client looks for the coordinator of its group though it never joins one, and not every client may.
#[test]
fn a_reader_needs_no_coordinator_of_a_group() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..10);
        topic.mock.call(|cluster| {
            let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
            cluster.request_errors(RDKafkaApiKey::FindCoordinator, &[denied; 20]);
            cluster.coordinator(MockCoordinator::Group("messagekit-log".to_owned()), 1).unwrap();
        });
        let mut reader = topic.open(&[(0, PartitionStart::Earliest)]).await;
        let mut seen = Vec::new();
        while seen.len() < 10 {
            if let Page::Records(records) = reader.next(9).await.unwrap() {
                seen.extend(offsets_of(&records));
            }
        }
    });
}

#[test]
fn a_paused_partition_fetches_no_more_than_its_share() {
    const COUNT: usize = 4_000;
    log::keep();
    block_on(async {
        let (topic, client) = (Topic::make(), unique("client"));
        let body = "x".repeat(1_000);
        topic.send((0..COUNT).map(|number| (0, format!("{number} {body}"))));
        let settings = [
            ("client.id", client.as_str()),
            ("statistics.interval.ms", "50"),
            ("queued.max.messages.kbytes", "100"),
            ("fetch.message.max.bytes", "50000"),
        ];
        let kafka = settings
            .into_iter()
            .fold(topic.mock.kafka(), |kafka, (key, value)| kafka.set(key, value).unwrap());
        let mut reader = Reader(kafka.log().open(&topic.name, &all(PartitionStart::Earliest)).await.unwrap());
        reader.0.pause(0);
        let mut last = None;
        eventually("nothing more is fetched", DEADLINE, async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = std::mem::replace(&mut last, log::received_bytes(&client));
            before.zip(last).is_some_and(|(before, now)| now > 50_000 && now - before < 10_000)
        })
        .await;
        let fetched = last.unwrap();
        assert!(fetched < 2_500_000, "{fetched} bytes were fetched for a paused partition");
        reader.0.resume(0);
        let read = reader.until_ends(3).await;
        assert_eq!(read[&0].0, (0..COUNT as i64).collect::<Vec<_>>());
    });
}

#[test]
fn the_thread_of_a_reader_ends_with_it() {
    let threads = |name: &str| {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|found| found.trim() == name).count()
    };
    block_on(async {
        let mock = Mock::start();
        mock.create_topic("dropped", 2);
        let starts = [(0, PartitionStart::Earliest), (1, PartitionStart::Earliest)];
        let topic = Topic { log: mock.kafka().log(), mock, name: "dropped".into() };
        topic.publish(0, 0..20_000);
        let reader = topic.open(&starts).await;
        assert_eq!(threads("log dropped"), 1);
        drop(reader);
        eventually("the thread has ended", DEADLINE, async || threads("log dropped") == 0).await;
        let mut reader = topic.open(&starts).await;
        assert_eq!(offsets_of(&reader.records(1).await), [0]);
        drop(reader);
        eventually("the thread has ended", DEADLINE, async || threads("log dropped") == 0).await;
    });
}
