//! A partition that is no longer the log that was read: an unclean election has truncated it.
//!
//! A consumer sees the same with an offset of another topic whose id it does not know: different records at its offsets.

use std::sync::Arc;

use messagekit::ErrorKind;
use messagekit::adapter::Source;
use messagekit_testkit::transport::texts;
use messagekit_testkit::{block_on, unique};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::{ADMIN, blocking, committed, join, kafka, outside, publish, topic};
use crate::lost_positions::{delete_before, handle_all, permanent_error};

/// Commits for one topic the offsets that the group has committed for another one, with their metadata, but without the topic's id.
async fn copy_offset(consumer: &str, from: &Arc<str>, to: &Arc<str>) {
    let (group, from, to) = (consumer.to_owned(), from.clone(), to.clone());
    blocking(move || {
        let (client, mut asked) = (outside(&group), TopicPartitionList::new());
        asked.add_partition(&from, 0);
        let found = client.committed_offsets(asked, ADMIN).unwrap();
        let found = found.elements();
        let mut copy = TopicPartitionList::new();
        copy.add_partition_offset(&to, 0, found[0].offset()).unwrap();
        let words = found[0].metadata().split(' ').filter(|word| !word.starts_with("id="));
        copy.find_partition(&to, 0).unwrap().set_metadata(words.collect::<Vec<_>>().join(" "));
        client.commit(&copy, CommitMode::Sync).unwrap();
    })
    .await;
}

#[test]
fn a_truncated_partition_is_reported_even_after_it_grows_back() {
    block_on(async {
        let (read, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&read, (0..10).map(|number| format!("m{number}"))).await;
        handle_all(&read, &consumer, 10).await;
        for others in [15, 9, 0] {
            let cut = topic(1, &[]).await;
            publish(&cut, (0..others).map(|number| format!("other{number}"))).await;
            copy_offset(&consumer, &read, &cut).await;
            let subscriber = kafka().topics([cut.clone()]).bind(&consumer, &[]).await.unwrap();
            let error = permanent_error(subscriber).await;
            assert_eq!((error.kind(), error.context("offset")), (ErrorKind::WrongState, Some("10")));
            assert!(error.to_string().contains("record at offset 9 is not the one"), "{error}");
            assert_eq!(committed(&consumer, &cut, 0).await, Some(10), "nothing was written over the loss");
        }
    });
}

#[test]
fn records_that_are_deleted_after_they_were_handled_are_no_loss() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..10).map(|number| format!("m{number}"))).await;
        handle_all(&topic, &consumer, 10).await;
        delete_before(&topic, 10).await;
        let mut receiver = join(&kafka(), &topic, &consumer).await;
        publish(&topic, ["m10".to_owned()]).await;
        assert_eq!(texts(&receiver.take(1).await), ["m10"]);
    });
}

#[test]
fn an_earlier_offset_of_an_operator_reads_a_cut_partition_again() {
    block_on(async {
        let (read, cut, consumer) = (topic(1, &[]).await, topic(1, &[]).await, unique("consumer"));
        publish(&read, (0..10).map(|number| format!("m{number}"))).await;
        handle_all(&read, &consumer, 10).await;
        publish(&cut, (0..12).map(|number| format!("other{number}"))).await;
        copy_offset(&consumer, &read, &cut).await;
        let (group, name) = (consumer.clone(), cut.clone());
        blocking(move || {
            let mut position = TopicPartitionList::new();
            position.add_partition_offset(&name, 0, Offset::Offset(8)).unwrap();
            outside(&group).commit(&position, CommitMode::Sync).unwrap();
        })
        .await;
        let mut receiver = join(&kafka(), &cut, &consumer).await;
        assert_eq!(texts(&receiver.take(4).await), ["other8", "other9", "other10", "other11"]);
    });
}
