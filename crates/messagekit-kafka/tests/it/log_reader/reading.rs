//! What a reader yields: records, ends, and nothing of a paused partition.

use messagekit::adapter::Publisher;
use messagekit::log::{Page, PartitionStart};
use messagekit::{Message, headers};
use messagekit_testkit::{DEADLINE, block_on};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::{PARTITIONS, Topic, all, offsets_of};

#[test]
fn all_partitions_are_read_whole_and_in_order() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..100);
        topic.publish(2, 0..30);
        let mut reader = topic.open(&all(PartitionStart::Earliest)).await;
        let read = reader.until_ends(3).await;
        for (partition, count) in [(0, 100), (1, 0), (2, 30)] {
            assert_eq!(read[&partition], ((0..count).collect(), vec![count]), "partition {partition}");
        }
        topic.publish(1, 0..3);
        assert_eq!(reader.until_end_at(1, 3).await, [0, 1, 2]);
    });
}

#[test]
fn readers_start_at_an_offset_or_behind_the_last_record() {
    block_on(async {
        let topic = Topic::make();
        for partition in 0..PARTITIONS {
            topic.publish(partition, 0..5);
        }
        let starts =
            [(0, PartitionStart::Offset(3)), (1, PartitionStart::End), (2, PartitionStart::Offset(7))];
        let mut reader = topic.open(&starts).await;
        let read = reader.until_ends(3).await;
        assert_eq!(read[&0], (vec![3, 4], vec![5]));
        assert_eq!((&read[&1], &read[&2]), (&(vec![], vec![5]), &(vec![], vec![5])));
        topic.publish(2, 5..9);
        assert_eq!(reader.until_end_at(2, 9).await, [7, 8]);
    });
}

#[test]
fn a_paused_partition_yields_nothing_and_loses_nothing() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..3_000);
        let mut reader = topic.open(&all(PartitionStart::Earliest)).await;
        let mut seen = Vec::new();
        while seen.is_empty() {
            if let Page::Records(records) = reader.page(10).await {
                seen.extend(offsets_of(&records));
            }
        }
        for (round, partition) in (0..40).zip([1, 2].into_iter().cycle()) {
            reader.0.pause(0);
            topic.publish(partition, round..round + 1);
            let records = loop {
                if let Page::Records(records) = reader.page(10).await {
                    break records;
                }
            };
            assert_eq!(records[0].position.partition, partition, "partition 0 is paused");
            reader.0.resume(0);
            while let Page::Records(records) = reader.page(50).await {
                assert_eq!(records[0].position.partition, 0);
                seen.extend(offsets_of(&records));
                if records.len() == 50 {
                    break;
                }
            }
        }
        while seen.len() < 3_000 {
            if let Page::Records(records) = reader.page(1_000).await {
                seen.extend(offsets_of(&records));
            }
        }
        assert_eq!(seen, (0..3_000).collect::<Vec<_>>());
    });
}

#[test]
fn a_seek_goes_on_at_its_offset_whatever_was_read() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..500);
        let mut reader = topic.open(&[(0, PartitionStart::Earliest)]).await;
        for offset in [0, 490, 20, 499, 3, 3, 450] {
            reader.0.seek(0, offset);
            assert_eq!(offsets_of(&reader.records(4).await)[0], offset);
        }
        reader.0.seek(0, 495);
        assert_eq!(reader.until_ends(1).await[&0], ((495..500).collect(), vec![500]));
        reader.0.seek(0, 500);
        assert_eq!(reader.until_ends(1).await[&0], (vec![], vec![500]));
        reader.0.seek(0, 502);
        assert_eq!(reader.until_ends(1).await[&0], (vec![], vec![500]));
        topic.publish(0, 500..504);
        assert_eq!(reader.until_end_at(0, 504).await, [502, 503]);
        reader.0.seek(0, -4);
        assert_eq!(reader.page(9).await, Page::Gone { partition: 0, asked: -4, earliest: 0 });
        assert_eq!(offsets_of(&reader.records(1).await), [0]);
    });
}

#[test]
fn a_seek_of_a_paused_partition_waits_for_its_resumption() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..100);
        let mut reader = topic.open(&all(PartitionStart::Earliest)).await;
        reader.0.pause(0);
        reader.0.seek(0, 98);
        assert_eq!(reader.until_ends(2).await.keys().collect::<Vec<_>>(), [&1, &2]);
        reader.0.resume(0);
        assert_eq!(reader.until_ends(1).await[&0], (vec![98, 99], vec![100]));
    });
}

#[test]
fn tombstones_keys_and_headers_are_read_as_they_are() {
    block_on(async {
        let topic = Topic::make();
        let producer = topic.producer();
        let tombstone = BaseRecord::<str, str>::to(&topic.name).partition(0).key("k").timestamp(86_400_000);
        producer.send(tombstone).map_err(|(error, _)| error).unwrap();
        let id = Header { key: "id", value: Some("m-1") };
        let record = BaseRecord::<str, str>::to(&topic.name).partition(0).payload("");
        let record = record.headers(OwnedHeaders::new().insert(id));
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(DEADLINE).unwrap();
        let mut reader = topic.open(&[(0, PartitionStart::Earliest)]).await;
        let mut records = Vec::new();
        while records.len() < 2 {
            records.extend(reader.records(9).await);
        }
        assert!(records[0].is_tombstone && !records[1].is_tombstone);
        let keys: Vec<_> = records.iter().map(|record| record.message.key.as_deref()).collect();
        assert_eq!(keys, [Some(&b"k"[..]), None]);
        assert!(records.iter().all(|record| record.message.payload.is_empty()));
        assert_eq!(records[0].timestamp, jiff::Timestamp::from_second(86_400).ok());
        assert!(records[0].message.headers.is_empty());
        assert_eq!(records[1].message.headers.text(headers::ID), Some("m-1"));
    });
}

#[test]
fn a_message_of_the_publisher_comes_back_as_it_was() {
    block_on(async {
        let topic = Topic::make();
        let sent = Message::new(topic.name.clone(), "{\"a\":1}").with_key("k").with_header("x", "y");
        let published = topic.mock.kafka().publisher().unwrap().publish(std::slice::from_ref(&sent)).await;
        published.into_iter().for_each(|result| result.unwrap());
        let mut reader = topic.open(&all(PartitionStart::Earliest)).await;
        let record = loop {
            if let Page::Records(mut records) = reader.page(9).await {
                break records.remove(0);
            }
        };
        assert_eq!(record.message, sent);
    });
}
