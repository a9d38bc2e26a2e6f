//! A topic of Kafka, measured from outside: no contender reports its own results.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::{remove_behind, unique};
use crate::events::TOPIC;
use crate::frame::{Judge, Ledger, Outcome};

pub(crate) const PARTITIONS: i32 = 6;

/// Without a new record for this time, the remaining ones are lost.
const PATIENCE: Duration = Duration::from_secs(75);

pub(crate) struct Topic {
    pub(crate) name: String,
    partitions: i32,
    brokers: String,
    watcher: Arc<BaseConsumer>,
}

/// The rate at which events became visible.
pub(crate) struct Watched {
    /// Records per second, from the first to the last.
    pub(crate) rate: f64,
    /// Seconds from the call until the last record.
    pub(crate) seconds: f64,
}

impl Topic {
    pub(crate) async fn make(brokers: &str) -> Outcome<Self> {
        Self::with(brokers, 1024 * 1024).await
    }

    /// Creates a topic of this many partitions.
    pub(crate) async fn of(brokers: &str, partitions: i32) -> Outcome<Self> {
        Self::create(brokers, partitions, 1024 * 1024).await
    }

    /// Creates a topic that refuses records of more than `largest` bytes.
    pub(crate) async fn with(brokers: &str, largest: usize) -> Outcome<Self> {
        Self::create(brokers, PARTITIONS, largest).await
    }

    async fn create(brokers: &str, partitions: i32, largest: usize) -> Outcome<Self> {
        // A consumer refuses a source without the topic of its events; a prefix before it is that of an environment.
        let (name, largest) = (format!("{}.{TOPIC}", unique()), largest.to_string());
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let topic = topic.set("max.message.bytes", &largest);
        for made in admin(brokers)?.create_topics([&topic], &AdminOptions::new()).await? {
            made.map_err(|(name, error)| format!("topic {name} is not made: {error}"))?;
        }
        let watcher: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", &name)
            .set("enable.auto.commit", "false")
            .set("fetch.queue.backoff.ms", "5")
            .create()?;
        Ok(Self { name, partitions, brokers: brokers.to_owned(), watcher: Arc::new(watcher) })
    }

    /// Waits until the topic has `events` records, or until no more arrive.
    pub(crate) async fn until(&self, events: usize) -> Outcome<Watched> {
        self.until_beyond(0, events).await
    }

    /// Waits in the same way on a topic that already has `before` records.
    pub(crate) async fn until_beyond(&self, before: u64, events: usize) -> Outcome<Watched> {
        let (watcher, name, partitions) = (Arc::clone(&self.watcher), self.name.clone(), self.partitions);
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let (mut first, mut latest) = (None, (before, Instant::now()));
            loop {
                let count = ends(&watcher, &name, partitions)?;
                let now = Instant::now();
                if count > latest.0 {
                    latest = (count, now);
                    first.get_or_insert((count, now));
                }
                if count >= events as u64 || latest.1.elapsed() > PATIENCE {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let (had, since) = first.ok_or("nothing arrived")?;
            let rate = (latest.0 - had) as f64 / (latest.1 - since).as_secs_f64();
            Ok(Watched { rate, seconds: (latest.1 - began).as_secs_f64() })
        })
        .await?
    }

    /// Returns the number of records in the topic.
    pub(crate) async fn count(&self) -> Outcome<u64> {
        let (watcher, name, partitions) = (Arc::clone(&self.watcher), self.name.clone(), self.partitions);
        tokio::task::spawn_blocking(move || ends(&watcher, &name, partitions)).await?
    }

    /// Returns how many records the group with the topic's name has settled.
    pub(crate) async fn committed(&self) -> Outcome<u64> {
        let (watcher, name, partitions) = (Arc::clone(&self.watcher), self.name.clone(), self.partitions);
        tokio::task::spawn_blocking(move || {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_range(&name, 0, partitions - 1);
            let committed = watcher.committed_offsets(asked, Duration::from_secs(20))?;
            let next = |offset| if let Offset::Offset(next) = offset { next } else { 0 };
            let settled: i64 = committed.elements().iter().map(|element| next(element.offset())).sum();
            Ok(u64::try_from(settled)?)
        })
        .await?
    }

    /// Returns the ledger of the events below `events`. A missing event is lost when no record has arrived for a minute.
    pub(crate) async fn judge(&self, events: usize) -> Outcome<Ledger> {
        let (mut count, mut since) = (self.count().await?, Instant::now());
        loop {
            let ledger = self.judge_now(events).await?;
            if ledger.lost == 0 {
                return Ok(ledger);
            }
            while self.count().await? == count {
                if since.elapsed() > PATIENCE {
                    return Ok(ledger);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (count, since) = (self.count().await?, Instant::now());
        }
    }

    /// Reads every record and returns the ledger of the events below `events` as of now.
    pub(crate) async fn judge_now(&self, events: usize) -> Outcome<Ledger> {
        let (watcher, name, partitions) = (Arc::clone(&self.watcher), self.name.clone(), self.partitions);
        tokio::task::spawn_blocking(move || {
            let mut left = ends(&watcher, &name, partitions)?;
            let mut assigned = TopicPartitionList::new();
            for partition in 0..partitions {
                assigned.add_partition_offset(&name, partition, Offset::Beginning)?;
            }
            watcher.assign(&assigned)?;
            let mut judge = Judge::expecting(events);
            while left > 0 {
                let record = watcher.poll(PATIENCE).ok_or("a record of the topic cannot be read")??;
                judge.see_payload(record.payload().unwrap_or_default())?;
                left -= 1;
            }
            watcher.unassign()?;
            Ok(judge.verdict())
        })
        .await?
    }
}

fn ends(watcher: &BaseConsumer, name: &str, partitions: i32) -> Outcome<u64> {
    let end = |partition| watcher.fetch_watermarks(name, partition, Duration::from_secs(20));
    let ends = (0..partitions).map(|partition| Ok(end(partition)?.1));
    Ok(u64::try_from(ends.sum::<Outcome<i64>>()?)?)
}

fn admin(brokers: &str) -> Outcome<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", brokers).create()?)
}

impl Drop for Topic {
    fn drop(&mut self) {
        let (brokers, name) = (&self.brokers, self.name.as_str());
        remove_behind(format!("topic {name}"), async move {
            admin(brokers)?.delete_topics(&[name], &AdminOptions::new()).await?;
            Ok(())
        });
    }
}
