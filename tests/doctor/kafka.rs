//! Topics and groups of the broker.

use std::time::Duration;

use messagekit_sqlite::rusqlite;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{Database, services};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::relay::topic;
use crate::stage::{Stage, nothing, run};

fn stage(topic: &str) -> Stage {
    Stage::with(&["--kafka", &services::kafka(), "--topic", topic])
}

const FORTNIGHT: [(&str, &str); 2] = [("cleanup.policy", "delete"), ("retention.ms", "1209600000")];

/// The stack has one broker, so every topic has one replica.
#[test]
fn settings_that_lose_or_refuse_events_are_found_and_repaired() {
    block_on(async {
        for (setting, value, name) in [
            ("max.message.bytes", "20000", "topic-max-message-bytes-low"),
            ("min.insync.replicas", "2", "topic-min-insync-replicas-high"),
            ("unclean.leader.election.enable", "true", "topic-unclean-leader-election"),
        ] {
            let topic = topic(&[(setting, value)]).await;
            let stage = stage(&topic);
            stage.heals(name, nothing).await;
            assert_eq!(stage.look().names(), ["topic-replication-factor-one"], "after {name}");
        }
    });
}

#[test]
fn a_single_replica_is_a_warning_with_the_number_of_brokers() {
    block_on(async {
        let stage = stage(&topic(&[]).await);
        let found = stage.finds("topic-replication-factor-one").await;
        assert!(found["text"].as_str().unwrap().contains("1 brokers"), "{found}");
        assert_eq!(stage.look().code, 0, "a warning is no problem");
    });
}

#[test]
fn a_missing_topic_is_made_as_printed() {
    block_on(async {
        let stage = stage(&unique("doctor.missing"));
        stage.heals("topic-missing", nothing).await;
    });
}

#[test]
fn a_topic_that_outlives_a_dedup_window_needs_a_longer_one() {
    block_on(async {
        let (database, topic) = (Database::fresh().await, topic(&FORTNIGHT).await);
        let read = format!(
            "INSERT INTO messagekit.consumer_windows (consumer, seconds) VALUES ('billing', 604800);
             INSERT INTO messagekit.consumer_offsets (consumer, topic, partition, next) VALUES ('billing', '{topic}', 0, 1)"
        );
        let kafka = services::kafka();
        let stage = Stage::with(&["--database", database.url(), "--kafka", &kafka, "--topic", &topic]);
        let reason = stage.look().unchecked("topic-outlives-dedup-window").map(str::to_owned);
        assert!(reason.is_some_and(|reason| reason.contains("dedup window")), "nothing to compare with");
        run(database.url(), read).await;
        let longer =
            "INSERT INTO messagekit.consumer_windows (consumer, seconds) VALUES ('billing', 1209600)";
        stage.heals("topic-outlives-dedup-window", async |_| run(database.url(), longer).await).await;
    });
}

/// The consumers of a file read topics of a broker too.
#[test]
fn a_topic_that_outlives_a_window_in_a_file_is_found() {
    block_on(async {
        let (folder, topic) = (tempfile::tempdir().unwrap(), topic(&FORTNIGHT).await);
        let file = folder.path().join("shop.db");
        messagekit_sqlite::migrations::migrate(&file).unwrap();
        let read = format!(
            "INSERT INTO messagekit_consumers (id, name) VALUES (1, 'billing');
             INSERT INTO messagekit_topics (id, name) VALUES (1, '{topic}');
             INSERT INTO messagekit_consumer_windows (consumer_id, seconds, noted_at) VALUES (1, 604800, 0);
             INSERT INTO messagekit_consumer_offsets (consumer_id, topic_id, partition, next) VALUES (1, 1, 0, 1)"
        );
        let open = rusqlite::Connection::open(&file).unwrap();
        open.execute_batch(&read).unwrap();
        let (url, kafka) = (format!("sqlite:{}", file.display()), services::kafka());
        let stage = Stage::with(&["--database", &url, "--kafka", &kafka, "--topic", &topic]);
        let longer = "UPDATE messagekit_consumer_windows SET seconds = 1209600";
        stage.heals("topic-outlives-dedup-window", async |_| open.execute_batch(longer).unwrap()).await;
    });
}

#[test]
fn a_group_without_members_is_deleted_as_printed() {
    block_on(async {
        let (topic, group) = (topic(&[]).await, unique("doctor"));
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", services::kafka());
        let producer: FutureProducer = client.create().unwrap();
        for payload in ["one", "two", "three"] {
            let record = FutureRecord::<str, str>::to(&topic).payload(payload);
            producer.send(record, Duration::from_secs(30)).await.unwrap();
        }
        client
            .set("group.id", &group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false");
        let member: BaseConsumer = client.create().unwrap();
        member.subscribe(&[&topic]).unwrap();
        let stage = stage(&topic);
        eventually("the member has read one", DEADLINE, async || {
            match member.poll(Duration::from_millis(100)) {
                Some(record) => {
                    member.commit_message(&record.unwrap(), CommitMode::Sync).map(|()| true).unwrap()
                }
                None => false,
            }
        })
        .await;
        assert!(!stage.look().has("group-without-members"), "it has a member");
        drop(member);
        let found = stage.finds("group-without-members").await;
        assert!(found["text"].as_str().unwrap().contains(&format!("2 of {topic}")), "{found}");
        stage.heals("group-without-members", nothing).await;
    });
}
