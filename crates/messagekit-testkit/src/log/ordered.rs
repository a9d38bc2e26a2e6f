//! Reading topics in the order of their time.

use std::sync::Arc;

use messagekit::log::{OrderedReader, Record, Start};

use super::LogFixture;
use super::fixture::{append, messages, topic_of};
use crate::DEADLINE;

/// Records of two topics come by their time, each topic whole and in the order of its offsets.
pub async fn topics_come_in_the_order_of_their_time<F: LogFixture>(fixture: &F) {
    const EACH: usize = 12;
    let topics = [fixture.topic().await, fixture.topic().await];
    for number in 0..EACH {
        for topic in &topics {
            append(&fixture.store(), &messages(topic, [number.to_string()])).await;
        }
    }
    let mut reader = reader_of(fixture, &topics, Start::Earliest).await;
    let mut read = Vec::new();
    while !reader.is_live() {
        read.extend(polled(&mut reader).await);
    }
    let time = |record: &Record| record.timestamp.expect("a database knows the time of its records");
    let order = |record: &Record| (time(record), record.position.clone());
    assert!(read.is_sorted_by_key(order), "{:?}", read.iter().map(order).collect::<Vec<_>>());
    for topic in &topics {
        let own = read.iter().filter(|record| record.position.topic == *topic);
        let texts: Vec<_> = own.map(|record| String::from_utf8_lossy(&record.message.payload)).collect();
        assert_eq!(texts, (0..EACH).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

/// A reader at the end of its topics sees each new record once.
pub async fn a_live_reader_sees_what_is_new<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 2).await;
    let mut reader = reader_of(fixture, std::slice::from_ref(&topic), Start::Latest).await;
    assert!(reader.is_live(), "nothing is left of its past");
    let mut seen: Vec<i64> = Vec::new();
    for round in 0..3 {
        append(&fixture.store(), &messages(&topic, ["new".into(), "last".into()])).await;
        let last = 2 * round + 3;
        while seen.last().is_none_or(|seen| *seen < last) {
            seen.extend(polled(&mut reader).await.iter().map(|record| record.position.offset));
        }
    }
    assert_eq!(seen, [2, 3, 4, 5, 6, 7]);
}

async fn reader_of<F: LogFixture>(fixture: &F, topics: &[Arc<str>], start: Start) -> OrderedReader {
    let builder = OrderedReader::builder().batch_size(5);
    let builder = topics
        .iter()
        .fold(builder, |builder, topic| builder.source(fixture.log(), topic.clone(), start.clone()));
    builder.open().await.expect("the topics can be read")
}

async fn polled(reader: &mut OrderedReader) -> Vec<Record> {
    reader.poll(DEADLINE).await.expect("the log can be read")
}
