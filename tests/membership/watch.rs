//! Observes a group from outside, ten times per second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::Shutdown;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use sqlx::PgPool;
use tokio::time::MissedTickBehavior;

use crate::group::{BROKER, PARTITIONS};

/// The interval between two observations.
const EVERY: Duration = Duration::from_millis(100);

/// An observer. It requires that no offset is beyond unfinished work, and no partition with work stalls for longer than
/// the patience.
pub(crate) struct Watch {
    pub(crate) outside: Arc<BaseConsumer>,
    pub(crate) topic: Arc<str>,
    pub(crate) pool: PgPool,
    pub(crate) patience: Duration,
}

/// The observations.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    looks: usize,
    failed: usize,
    /// The longest time that work of a partition waited without progress.
    longest: Duration,
    partitions: BTreeMap<i32, Standing>,
}

#[derive(Debug)]
struct Standing {
    applied: Step,
    committed: Step,
}

/// The progress of a partition, and the time since when it has not changed.
#[derive(Debug)]
struct Step {
    at: i64,
    since: Instant,
}

impl Step {
    /// Returns how long it stalled before `end`.
    fn takes(&mut self, at: i64, end: i64) -> Duration {
        if at != self.at || at >= end {
            *self = Self { at, since: Instant::now() };
        }
        self.since.elapsed()
    }
}

impl Watch {
    /// Observes until `over`.
    pub(crate) async fn look_until(self, over: Shutdown) -> Seen {
        let mut next = tokio::time::interval(EVERY);
        next.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // A broker names the leaders of a new topic a moment after it has made it.
        let started = Instant::now();
        while let Err(error) = self.offsets().await {
            assert!(started.elapsed() < self.patience, "no look succeeds: {error}");
            next.tick().await;
        }
        let (mut seen, begun) = (Seen::default(), Instant::now());
        let mut over = std::pin::pin!(over.into_future());
        loop {
            tokio::select! {
                biased;
                () = &mut over => break,
                _ = next.tick() => self.look(&mut seen).await,
            }
        }
        seen.are_enough(begun.elapsed());
        seen
    }

    /// Returns whether every published record is committed.
    pub(crate) async fn is_through(&self) -> bool {
        let offsets = self.offsets().await;
        offsets.is_ok_and(|offsets| offsets.iter().all(|(_, committed, end)| committed == end))
    }

    async fn look(&self, seen: &mut Seen) {
        let offsets = match self.offsets().await {
            Ok(offsets) => offsets,
            // The next request may succeed.
            Err(error) => return seen.fails(&error.to_string()),
        };
        // Read the table after the offsets: records that were committed before them are in the table by now.
        let of_partitions =
            "SELECT o.partition, count(DISTINCT place) FILTER (WHERE place < o.committed), count(DISTINCT place)
            FROM unnest($1::int[], $2::bigint[]) AS o (partition, committed) LEFT JOIN applied USING (partition)
            GROUP BY o.partition";
        let (partitions, committed): (Vec<i32>, Vec<i64>) =
            offsets.iter().map(|(partition, committed, _)| (*partition, *committed)).unzip();
        let applied: Vec<(i32, i64, i64)> = sqlx::query_as(of_partitions)
            .bind(partitions)
            .bind(committed)
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let applied: BTreeMap<i32, (i64, i64)> =
            applied.into_iter().map(|(partition, below, all)| (partition, (below, all))).collect();
        for (partition, committed, end) in offsets {
            let (below, all) = applied[&partition];
            assert_eq!(below, committed, "partition {partition} is committed past unfinished work");
            let now = Instant::now();
            let standing = seen.partitions.entry(partition).or_insert_with(|| Standing {
                applied: Step { at: all, since: now },
                committed: Step { at: committed, since: now },
            });
            let still = standing.applied.takes(all, end).max(standing.committed.takes(committed, end));
            seen.longest = seen.longest.max(still);
            assert!(
                still < self.patience,
                "partition {partition} of {end} records stands still at {all} applied and {committed} committed for {still:?}"
            );
        }
        seen.looks += 1;
    }

    /// Returns the committed offset of each partition, and then its end.
    async fn offsets(&self) -> KafkaResult<Vec<(i32, i64, i64)>> {
        let (outside, topic) = (self.outside.clone(), self.topic.clone());
        let ask = move || {
            let mut all = TopicPartitionList::new();
            all.add_partition_range(&topic, 0, PARTITIONS - 1);
            let committed = outside.committed_offsets(all.clone(), BROKER)?;
            all.set_all_offsets(Offset::End)?;
            let ends = outside.offsets_for_times(all, BROKER)?;
            let mut offsets = Vec::new();
            for end in ends.elements() {
                end.error()?;
                let one = committed.find_partition(&topic, end.partition());
                let committed = one.and_then(|one| one.offset().to_raw()).unwrap_or(0);
                // The offsets are negative without a commit or a record.
                let end_at = end.offset().to_raw().unwrap_or(0);
                offsets.push((end.partition(), committed.max(0), end_at.max(0)));
            }
            Ok(offsets)
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }
}

impl Seen {
    /// Records a failed request: a broker without a disturbance answers again after a moment.
    fn fails(&mut self, error: &str) {
        self.failed += 1;
        println!("look {} failed: {error}", self.looks + self.failed);
        assert!(self.failed <= 5 + self.looks / 20, "too many looks failed: {self:?}");
    }

    /// Requires enough observations: rare ones would prove nothing.
    fn are_enough(&self, time: Duration) {
        let wanted = time.as_millis() / EVERY.as_millis() / 2;
        assert!(self.looks as u128 >= wanted, "void: {} looks in {time:?}, {wanted} wanted", self.looks);
        assert_eq!(self.partitions.len(), PARTITIONS as usize, "{self:?}");
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { looks, failed, longest, .. } = self;
        write!(f, "{looks} looks from outside and {failed} failed, the longest stand {longest:?}")
    }
}
