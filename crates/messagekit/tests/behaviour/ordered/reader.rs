//! What a program sees of an ordered reader.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use messagekit::log::{OrderedReader, OrderedReaderBuilder, Start};
use messagekit::{Error, ErrorKind};

use super::scripted_log::ScriptedLog;

const SOON: Duration = Duration::from_secs(60);

/// A topic `orders` with a partition for each list of times in milliseconds, at which its records were stored.
fn log_of(partitions: &[&[i64]]) -> ScriptedLog {
    let log = ScriptedLog::default();
    for (partition, times) in (0..).zip(partitions) {
        log.partition("orders", partition, 0, times.len() as i64);
        for (offset, millis) in (0..).zip(*times) {
            log.put("orders", partition, offset, Some(*millis));
        }
    }
    log
}

fn reading(log: &ScriptedLog, start: Start) -> OrderedReaderBuilder {
    OrderedReader::builder().source(Arc::new(log.clone()), "orders", start)
}

async fn polled(reader: &mut OrderedReader) -> Vec<(i32, i64)> {
    let records = reader.poll(SOON).await.expect("the log can be read");
    records.iter().map(|record| (record.position.partition, record.position.offset)).collect()
}

fn reason(result: Result<OrderedReader, Error>) -> (ErrorKind, String) {
    let error = result.expect_err("it cannot be opened");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_when_it_is_opened() {
    let log = log_of(&[&[1]]);
    let none = OrderedReader::builder().open().await;
    assert_eq!(reason(none).0, ErrorKind::InvalidConfiguration);
    let twice = reading(&log, Start::Earliest).source(Arc::new(log.clone()), "orders", Start::Latest);
    let (kind, text) = reason(twice.open().await);
    assert_eq!(kind, ErrorKind::InvalidConfiguration);
    assert!(text.starts_with("duplicate topic"), "{text}");
    let unknown = OrderedReader::builder().source(Arc::new(log.clone()), "invoices", Start::Earliest);
    assert_eq!(reason(unknown.open().await).0, ErrorKind::NotFound);
    let nothing = reading(&log, Start::Earliest).batch_size(0);
    assert_eq!(reason(nothing.open().await).0, ErrorKind::InvalidConfiguration);
    let nothing = reading(&log, Start::Earliest).max_held(0);
    assert_eq!(reason(nothing.open().await).0, ErrorKind::InvalidConfiguration);
    let outside = reading(&log, Start::Offset(2)).open().await.expect_err("there is no such offset");
    assert_eq!(outside.kind(), ErrorKind::OutOfRange);
}

#[tokio::test]
async fn starts_choose_what_is_read() {
    let day = 86_400_000;
    let today = Timestamp::now().as_millisecond() / day * day;
    let log = log_of(&[&[1_000, 2_000, today - 1, today]]);
    let at = |millis| Start::At(Timestamp::from_millisecond(millis).unwrap());
    let starts = [
        (Start::Earliest, 0),
        (Start::Latest, 4),
        (Start::Offset(1), 1),
        (at(0), 0),
        (at(1_001), 1),
        (at(today * 2), 4),
        (Start::Ago(Duration::MAX), 0),
        (Start::StartOfDay(TimeZone::UTC), 3),
        (Start::Committed("billing-0-2".into()), 2),
        (Start::Committed("billing-0-9".into()), 4),
        (Start::Committed("new".into()), 0),
    ];
    for (start, offset) in starts {
        let reader = reading(&log, start.clone()).open().await.unwrap();
        let state = &reader.partition_state()[0];
        assert_eq!((state.replay_start_offset, state.replay_end_offset), (offset, 4), "{start:?}");
        assert_eq!(reader.is_live(), offset == 4, "{start:?}: nothing is left of its past");
    }
}

#[tokio::test]
async fn a_log_that_fails_once_loses_nothing() {
    let log = log_of(&[&[10, 30], &[20, 40]]);
    let mut reader = reading(&log, Start::Earliest).open().await.unwrap();
    log.fail_once();
    let error = reader.poll(SOON).await.expect_err("the log does not answer");
    assert!(error.is_transient());
    assert_eq!(polled(&mut reader).await, [(0, 0), (1, 0), (0, 1), (1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_records_ends_after_its_time() {
    let log = log_of(&[&[10], &[]]);
    log.partition("orders", 1, 0, 1);
    let mut reader = reading(&log, Start::Earliest).open().await.unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(polled(&mut reader).await, []);
    assert_eq!(before.elapsed(), SOON);
    assert_eq!((reader.held_message_count(), reader.is_live()), (1, false));
}

#[tokio::test]
async fn a_poll_that_is_dropped_loses_nothing() {
    let log = log_of(&[&[]]);
    log.partition("orders", 0, 0, 2);
    let mut reader = reading(&log, Start::Earliest).open().await.unwrap();
    {
        let waiting = std::pin::pin!(reader.poll(SOON));
        assert!(waiting.now_or_never().is_none());
        log.put("orders", 0, 0, Some(10));
    }
    log.put("orders", 0, 1, Some(20));
    assert_eq!(polled(&mut reader).await, [(0, 0), (0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_partition_is_not_waited_for() {
    let log = log_of(&[&[10, 20], &[]]);
    log.partition("orders", 1, 0, 5);
    let mut reader =
        reading(&log, Start::Earliest).idle_timeout(Duration::from_secs(5)).open().await.unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(polled(&mut reader).await, [(0, 0), (0, 1)]);
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    assert!(!reader.is_live(), "what it may still bring is past");
    log.put("orders", 1, 0, Some(5));
    assert_eq!(polled(&mut reader).await, [(1, 0)]);
    assert_eq!(reader.counts().late, 1);
}

/// The time of a consumer between two polls, and that of a pause, is not the time of the partition.
#[tokio::test(start_paused = true)]
async fn time_without_a_poll_makes_no_partition_idle() {
    let log = log_of(&[&[10, 20], &[]]);
    log.partition("orders", 1, 0, 5);
    let mut reader =
        reading(&log, Start::Earliest).idle_timeout(Duration::from_secs(5)).open().await.unwrap();
    assert_eq!(reader.poll(Duration::from_secs(3)).await.unwrap(), []);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(reader.poll(Duration::from_secs(1)).await.unwrap(), []);
    log.put("orders", 1, 0, Some(15));
    assert_eq!(polled(&mut reader).await, [(0, 0), (1, 0)]);
}

#[tokio::test]
async fn records_that_are_deleted_meanwhile_are_counted() {
    let log = log_of(&[&[10, 20, 30], &[15, 40]]);
    let mut reader = reading(&log, Start::Earliest).open().await.unwrap();
    log.delete_before("orders", 0, 3);
    assert_eq!(polled(&mut reader).await, [(1, 0), (1, 1)]);
    assert_eq!((reader.deleted(), reader.is_live()), (3, true));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_added_is_read_when_the_reader_is_live() {
    let log = log_of(&[&[10]]);
    let mut reader = reading(&log, Start::Latest).open().await.unwrap();
    assert!(reader.is_live());
    assert_eq!(reader.poll(Duration::from_secs(1)).await.unwrap(), []);
    log.partition("orders", 1, 0, 2);
    log.put("orders", 1, 0, Some(5));
    log.put("orders", 1, 1, Some(6));
    assert_eq!(polled(&mut reader).await, [(1, 0), (1, 1)]);
    let states = reader.partition_state();
    assert_eq!((states.len(), states[1].released_offset, states[1].is_live), (2, 1, true));
}

#[tokio::test]
async fn a_hot_partition_stays_within_the_buffer() {
    let hot: Vec<i64> = (0..4_000).collect();
    let cold: Vec<i64> = (0..40).map(|number| number * 100).collect();
    let log = log_of(&[&hot, &cold, &cold]);
    let mut reader = reading(&log, Start::Earliest).batch_size(50).max_held(60).open().await.unwrap();
    let (mut released, mut most) = (0, 0);
    while !reader.is_live() {
        released += polled(&mut reader).await.len();
        most = most.max(reader.held_message_count());
    }
    assert_eq!(released, 4_080);
    assert!(most <= 60 + 3, "{most} records were held");
    assert!(reader.counts().paused > 0, "partitions were paused");
}

#[tokio::test]
async fn a_stream_goes_on_after_an_error() {
    let log = log_of(&[&[10]]);
    let reader = reading(&log, Start::Earliest).open().await.unwrap();
    log.fail_once();
    let mut batches = std::pin::pin!(reader.into_stream());
    assert!(batches.next().await.unwrap().is_err());
    assert_eq!(batches.next().await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn the_next_position_is_behind_all_that_is_released() {
    let next = |reader: &OrderedReader| -> Vec<i64> {
        reader.next_positions().iter().map(|position| position.offset).collect()
    };
    let log = ScriptedLog::default();
    log.partition("orders", 0, 0, 2);
    log.partition("orders", 1, 0, 5);
    let mut reader = reading(&log, Start::Earliest).open().await.expect("the log can be read");
    log.put("orders", 0, 0, Some(10));
    log.put("orders", 0, 1, Some(30));
    log.put("orders", 1, 0, Some(20));
    assert_eq!(polled(&mut reader).await, [(0, 0), (1, 0)]);
    assert_eq!(next(&reader), [1, 1], "what is held is not passed");
    log.reach_end("orders", 1);
    assert_eq!(polled(&mut reader).await, [(0, 1)]);
    assert_eq!(next(&reader), [2, 5], "offsets without a record are");
    log.delete_before("orders", 0, 9);
    assert!(reader.poll(Duration::from_millis(1)).await.expect("the log can be read").is_empty());
    assert_eq!(next(&reader), [9, 5]);
}
