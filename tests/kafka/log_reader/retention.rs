//! Records that the broker has deleted.

use jiff::Timestamp;
use messagekit::ErrorKind;
use messagekit::log::{Log, Page, PartitionStart};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use rdkafka::admin::{AdminOptions, NewPartitions};

use super::{Reader, end, write};
use crate::broker::{ADMIN, admin, kafka, publish, topic};
use crate::lost_positions::delete_before;

fn texts(numbers: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(|number| format!("m{number}"))
}

#[test]
fn what_retention_removed_is_gone_and_reading_goes_on() {
    block_on(async {
        let topic = topic(1, &[]).await;
        publish(&topic, texts(0..10)).await;
        delete_before(&topic, 4).await;
        let bounds = kafka().log().bounds(&topic).await.unwrap();
        assert_eq!((bounds[0].earliest, bounds[0].end), (4, 10));
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Offset(1))]).await;
        assert_eq!(reader.page().await, Page::Gone { partition: 0, asked: 1, earliest: 4 });
        assert_eq!(reader.until_end().await, ((4..10).collect(), 10));
        reader.0.seek(0, 2);
        assert_eq!(reader.page().await, Page::Gone { partition: 0, asked: 2, earliest: 4 });
        assert_eq!(reader.until_end().await, ((4..10).collect(), 10));
    });
}

#[test]
fn reader_at_the_end_is_overtaken_by_retention() {
    block_on(async {
        let topic = topic(1, &[]).await;
        publish(&topic, texts(0..3)).await;
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_end().await, (vec![0, 1, 2], 3));
        // While it is paused the client goes on to fetch: what it has is not gone.
        reader.0.pause(0);
        publish(&topic, texts(3..6)).await;
        reader.0.seek(0, 1);
        delete_before(&topic, 5).await;
        reader.0.resume(0);
        let mut seen = Vec::new();
        while seen.last() != Some(&5) {
            match reader.page().await {
                Page::Records(records) => seen.extend(records.iter().map(|record| record.position.offset)),
                Page::Gone { asked, earliest, .. } => {
                    assert_eq!((asked, earliest), (seen.last().map_or(1, |last| last + 1), 5));
                    seen.extend(asked..earliest);
                }
                Page::End { at, .. } => assert!(at <= 6),
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn partition_without_records_has_its_end() {
    block_on(async {
        let topic = topic(1, &[]).await;
        publish(&topic, texts(0..5)).await;
        delete_before(&topic, 5).await;
        let bounds = kafka().log().bounds(&topic).await.unwrap();
        assert_eq!((bounds[0].earliest, bounds[0].end), (5, 5));
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_end().await, (vec![], 5));
    });
}

#[test]
fn a_compacted_partition_is_read_to_its_end() {
    block_on(async {
        let settings = [
            ("cleanup.policy", "compact"),
            ("segment.ms", "100"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("min.compaction.lag.ms", "0"),
            ("delete.retention.ms", "0"),
        ];
        let topic = topic(1, &settings).await;
        // The cleaner leaves the last segment alone. Records open the next one when they are later than the first of that.
        let mut written: i64 = 0;
        eventually("earlier records of the key are removed", DEADLINE, async || {
            let now = Timestamp::now().as_millisecond();
            write(&topic, vec![("k", Some("v"), now), ("k", Some("v"), now + 200)]).await;
            written += 2;
            let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
            let (offsets, at) = reader.until_end().await;
            assert_eq!((at, offsets.last()), (written, Some(&(written - 1))));
            (offsets.len() as i64) < written
        })
        .await;
        // Behind what was removed, a start in the gap is no loss.
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Offset(1))]).await;
        assert_eq!(reader.until_end().await.1, end(&topic).await);
    });
}

#[test]
fn a_missing_topic_is_not_made_by_a_broker_that_would() {
    block_on(async {
        let (name, log) = (unique("absent"), kafka().log());
        for _ in 0..2 {
            assert_eq!(log.bounds(&name).await.unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(
                log.committed_offsets(&name, "billing").await.unwrap_err().kind(),
                ErrorKind::NotFound
            );
        }
    });
}

#[test]
fn partitions_that_are_added_do_not_disturb_a_reader() {
    block_on(async {
        let topic = topic(1, &[]).await;
        publish(&topic, texts(0..3)).await;
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_end().await.1, 3);
        let options = AdminOptions::new().operation_timeout(Some(ADMIN));
        let added = admin().create_partitions(&[NewPartitions::new(&topic, 4)], &options).await.unwrap();
        assert!(added[0].is_ok(), "{added:?}");
        let log = kafka().log();
        eventually("the log has the new partitions", DEADLINE, async || {
            log.bounds(&topic).await.is_ok_and(|bounds| bounds.len() == 4)
        })
        .await;
        write(&topic, vec![("k", Some("after"), 0)]).await;
        assert_eq!(reader.until_end().await, (vec![3], 4));
    });
}
