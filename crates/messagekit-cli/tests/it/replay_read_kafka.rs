//! `messagekit replay read --kafka`, on a mock cluster inside this process.

use messagekit::Message;
use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit_kafka::Kafka;
use rdkafka::mocking::MockCluster;
use serde_json::Value;

use crate::command::messagekit;

/// Publishes a message. The cluster shares a busy machine: what it did not take in time was not sent.
async fn publish(publisher: &impl Publisher, message: Message) {
    let batch = [message];
    while let Err(refused) = publisher.publish(&batch).await.remove(0) {
        assert_eq!(refused.refusal, PublishErrorKind::Unavailable, "{refused:?}");
    }
}

#[tokio::test]
async fn topics_of_kafka_are_read_without_a_group() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["orders", "bills"] {
        cluster.create_topic(topic, 2, 1).unwrap();
    }
    let servers = cluster.bootstrap_servers();
    let publisher = Kafka::new(&servers).publisher().unwrap();
    for number in 1..=6 {
        let topic = if number % 2 == 1 { "orders" } else { "bills" };
        let message = Message::new(topic, format!("{{\"n\":{number}}}")).with_key(format!("k-{number}"));
        publish(&publisher, message.with_header("id", format!("m-{number}"))).await;
    }
    let servers = servers.as_str();
    let both = ["--source", "orders:earliest", "--source", "bills:earliest", "--kafka", servers];
    let answer = messagekit(&[&["replay", "read"], &both[..]].concat());
    let text = answer.text();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut numbers: Vec<_> = rows.iter().map(|row| row["value"]["n"].as_i64().unwrap()).collect();
    let times: Vec<_> = rows.iter().map(|row| row["timestamp"].as_str().unwrap().to_owned()).collect();
    assert!(times.is_sorted_by_key(|time| time.parse::<jiff::Timestamp>().unwrap()), "{times:?}");
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let until = |end: &str| messagekit(&[&["replay", "read", "--until", end], &both[..]].concat()).text();
    let ahead = (jiff::Timestamp::now() + std::time::Duration::from_secs(1)).to_string();
    assert_eq!((until(&ahead).lines().count(), until("2020-01-01").lines().count()), (6, 0));
    let report = messagekit(&[&["replay", "bench", "--json"], &both[..]].concat()).json();
    assert_eq!((&report["records"], &report["violations"]["first"]), (&6.into(), &Value::Null), "{report}");
    let absent = messagekit(&["replay", "read", "--kafka", servers, "--source", "absent:earliest"]);
    absent.refused(1, &["no such topic", "absent"]);
}
