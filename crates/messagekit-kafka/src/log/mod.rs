//! Kafka as a log that any process may read at any position.

mod bounds_question;
mod cursor;
mod flow;
#[cfg(test)]
mod flow_tests;
mod link;
mod offsets;
mod page_builder;
mod partition;
mod questions;
mod queue_limits;
mod reader;
mod reader_client;
mod reading;
mod waiting_pages;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, PartitionStart};
use messagekit::{Error, ErrorKind};

use crate::Kafka;
use crate::kafka::log_topic_ids;
use crate::properties::READING_GROUP;
use crate::record::check_unwinding;
use cursor::Cursor;
use questions::Questions;
use queue_limits::QueueLimits;
use reader::KafkaLogReader;
use reading::Start;

/// Reads topics of a [`Kafka`] at any position: no group is joined, and nothing is committed.
///
/// Transactions count as they do for consumers: a record is read once its transaction is committed, and
/// [`bounds`](Log::bounds) ends where the first open transaction begins. A reader's [`End`](messagekit::log::Page::End) names the offset
/// behind the records *and* the markers of transactions and compacted records after the last of them, so that it reaches that end also
/// when no record is there.
///
/// Each reader has a client and a thread. What it holds is bounded: 64 MiB for all its partitions in the client, unless
/// `queued.max.messages.kbytes`, `queued.min.messages` or `fetch.message.max.bytes` are set for each, and 24 MiB on the way to the caller.
/// Records of one page share a buffer: a caller that keeps a few records of many for long copies them.
///
/// ```no_run
/// # async fn run() -> Result<(), messagekit::Error> {
/// use std::sync::Arc;
///
/// use messagekit::log::{Log, Page, PartitionStart};
/// use messagekit_kafka::Kafka;
///
/// let (log, topic) = (Kafka::new("broker-1:9092").log(), Arc::from("orders.order"));
/// let bounds = log.bounds(&topic).await?;
/// let starts: Vec<_> = bounds.iter().map(|bounds| (bounds.partition, PartitionStart::Earliest)).collect();
/// let mut reader = log.open(&topic, &starts).await?;
/// let mut left = bounds.len();
/// while left > 0 {
///     match std::future::poll_fn(|cx| reader.poll_page(500, cx)).await {
///         Ok(Page::Records(records)) => println!("{} records", records.len()),
///         Ok(Page::End { .. }) => left -= 1,
///         Ok(Page::Gone { asked, earliest, .. }) => println!("{asked} to {earliest} were deleted"),
///         Err(error) if error.is_transient() => println!("{error}"),
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KafkaLog {
    kafka: Kafka,
    questions: Arc<Questions>,
}

impl Kafka {
    /// Returns the topics as a log that is read at any position, without a group. It opens no connection before it is asked.
    pub fn log(&self) -> KafkaLog {
        KafkaLog { kafka: self.clone(), questions: Arc::new(Questions::new(self.log_client())) }
    }
}

impl Log for KafkaLog {
    /// The leaders of the partitions are asked in parallel, for at most 10 seconds. Nothing happens when the future is dropped.
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        let topic = topic.to_owned();
        Box::pin(self.questions.ask(move |client, deadline| {
            let partitions = offsets::partitions(client, &topic, deadline)?;
            offsets::bounds(client, &topic, &partitions, deadline)
        }))
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        let topic = topic.to_owned();
        Box::pin(self.questions.ask(move |client, deadline| {
            let partitions = offsets::partitions(client, &topic, deadline)?;
            offsets::offsets_at(client, &topic, &partitions, time, deadline)
        }))
    }

    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        let topic = topic.to_owned();
        let mut config = self.kafka.log_client();
        // The client asks for the offsets of this group, and never joins it.
        config.set("group.id", consumer);
        Box::pin(async move {
            let questions = Arc::new(Questions::new(config));
            let asked = questions.ask(move |client, deadline| {
                let partitions = offsets::partitions(client, &topic, deadline)?;
                offsets::committed(client, &topic, &partitions, deadline)
            });
            asked.await
        })
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move {
            check_unwinding(cfg!(panic = "abort"))?;
            let starts = starts(topic, partitions, &self.bounds(topic).await?)?;
            let mut config = self.kafka.log_client();
            config.set("group.id", READING_GROUP);
            log_topic_ids(&mut config);
            QueueLimits::of(starts.len()).apply(&mut config);
            Ok(Box::new(KafkaLogReader::open(config, topic, starts).await?) as Box<dyn LogReader>)
        })
    }
}

fn starts(
    topic: &Arc<str>,
    partitions: &[(i32, PartitionStart)],
    bounds: &[Bounds],
) -> Result<Vec<Start>, Error> {
    let mut starts: Vec<Start> = Vec::with_capacity(partitions.len());
    for (number, start) in partitions {
        let refused = |kind, text: &str| {
            Error::new(kind, text.to_owned()).with("topic", topic).with("partition", number)
        };
        let bounds = bounds.iter().find(|bounds| bounds.partition == *number);
        let bounds = *bounds.ok_or_else(|| refused(ErrorKind::NotFound, "no such partition"))?;
        if starts.iter().any(|start| start.cursor.partition() == *number) {
            return Err(refused(ErrorKind::InvalidConfiguration, "partition is named twice"));
        }
        starts.push(Start { cursor: Cursor::new(*start, &bounds), bounds });
    }
    Ok(starts)
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("kafka", &self.kafka).finish_non_exhaustive()
    }
}
