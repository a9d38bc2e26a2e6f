//! Offsets by time, and by what a group has committed.

use jiff::Timestamp;
use messagekit::adapter::Publisher;
use messagekit::log::{Log, Page, PartitionStart, Start};
use messagekit_testkit::{block_on, unique};

use super::{Reader, write};
use crate::broker::{join, kafka, publish, topic};
use crate::lost_positions::{delete_before, handle_all};

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_time_finds_the_first_record_of_it_or_later() {
    block_on(async {
        let (topic, log) = (topic(3, &[]).await, kafka().log());
        write(&topic, vec![("k", Some("a"), 1_000), ("k", Some("b"), 2_000), ("k", Some("c"), 2_000)]).await;
        write(&topic, vec![("k", Some("d"), 3_000)]).await;
        for (time, expected) in [
            (Timestamp::MIN, 0),
            (Timestamp::UNIX_EPOCH, 0),
            (second(1), 0),
            ("1970-01-01T00:00:01.0000001Z".parse().unwrap(), 1),
            (second(2), 1),
            (second(3), 3),
            (second(4), 4),
            (Timestamp::MAX, 4),
        ] {
            let found = log.offsets_at(&topic, time).await.unwrap();
            assert_eq!(found, [(0, expected), (1, 0), (2, 0)], "{time}");
        }
        delete_before(&topic, 2).await;
        assert_eq!(log.offsets_at(&topic, second(1)).await.unwrap()[0], (0, 2));
    });
}

#[test]
fn a_reader_starts_at_a_time_or_behind_a_consumer() {
    block_on(async {
        let (topic, consumer, log) = (topic(1, &[]).await, unique("consumer"), kafka().log());
        write(&topic, vec![("k", Some("a"), 1_000), ("k", None, 2_000), ("k", Some("c"), 3_000)]).await;
        handle_all(&topic, &consumer, 2).await;
        let bounds = log.bounds(&topic).await.unwrap();
        let found = async |start: Start| start.offsets(&log, &topic, &bounds, second(4)).await.unwrap()[0];
        assert_eq!(found(Start::Ago(std::time::Duration::from_secs(2))).await, 1);
        assert_eq!(found(Start::Committed(consumer.as_str().into())).await, 2);
        assert_eq!(found(Start::Committed(unique("consumer").into())).await, 0);

        let start = PartitionStart::Offset(found(Start::At(second(2))).await);
        let mut reader = Reader::open(&topic, &[(0, start)]).await;
        let Page::Records(records) = reader.page().await else { panic!("there are records") };
        assert_eq!((records[0].timestamp, records[0].is_tombstone), (Some(second(2)), true));
        assert_eq!(records[0].message.key.as_deref(), Some(&b"k"[..]));
    });
}

#[test]
fn a_reader_is_no_member_of_a_group_and_commits_nothing() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..5).map(|number| format!("m{number}"))).await;
        handle_all(&topic, &consumer, 2).await;
        let mut member = join(&kafka(), &topic, &consumer).await;
        assert_eq!(member.message().await.position.unwrap().offset, 2);
        let log = kafka().log();
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_end().await, ((0..5).collect(), 5));
        assert_eq!(log.committed_offsets(&topic, &consumer).await.unwrap(), [(0, 2)]);
        assert_eq!(log.committed_offsets(&topic, "messagekit-log").await.unwrap(), []);
        assert_eq!(member.message().await.position.unwrap().offset, 3, "the member keeps its partition");
    });
}

#[test]
fn time_of_the_log_is_the_time_of_a_record() {
    block_on(async {
        let topic = topic(1, &[("message.timestamp.type", "LogAppendTime")]).await;
        let before = Timestamp::now();
        let message = messagekit::Message::new(topic.clone(), "{}");
        for result in kafka().publisher().unwrap().publish(&[message]).await {
            result.unwrap();
        }
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        let Page::Records(records) = reader.page().await else { panic!("there is a record") };
        let stored = records[0].timestamp.expect("the broker has given it a time");
        // The broker counts in milliseconds.
        assert!(stored.as_millisecond() >= before.as_millisecond(), "{stored} is before {before}");
    });
}
