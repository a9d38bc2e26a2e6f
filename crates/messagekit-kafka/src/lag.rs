//! The lag of a member of a group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use messagekit::adapter::{BoxFuture, LagProbe, PartitionLag};
use messagekit::{Error, ErrorKind};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Offset};
use tokio::sync::oneshot;

use crate::error::unavailable;
use crate::first_record::{First, first_records};
use crate::link::{Command, Commands};
use crate::member::Standing;
use crate::offsets::offsets;
use crate::partition_queues::TopicPartition;

/// The time limit of an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long the leaders may take to return what is first in a partition.
const FIRST: Duration = Duration::from_secs(2);
/// The most partitions whose first record is read for one answer: each may hold a megabyte.
const READ: usize = 100;

type Unfetched = BTreeMap<TopicPartition, (i64, Instant)>;

/// What the queries keep for the next one.
#[derive(Default)]
struct LagQueries {
    /// Made with the first query, and anew after a failed one.
    client: Option<Arc<BaseConsumer>>,
    first: BTreeMap<TopicPartition, KnownFirst>,
}

/// What a partition with an end had first from the next offset of its lane on.
#[derive(Clone, Copy)]
struct KnownFirst {
    next: i64,
    end: i64,
    first: First,
}

impl KnownFirst {
    /// Returns whether it holds still: a record stays the first, and an end is one until the partition grows.
    fn holds(&self, next: i64, end: i64) -> bool {
        self.next == next && (self.end == end || self.first != First::End)
    }
}

/// Where a partition ends, and what it has first, if that was read.
struct End {
    offset: i64,
    first: Option<KnownFirst>,
}

type Ends = BTreeMap<TopicPartition, End>;

/// Compares the end of each owned partition with the oldest unsettled record. The age counts from the record's timestamp; if
/// no client has read the record, from when this probe first saw it.
///
/// The end of a partition lies behind the markers of transactions and behind the records of aborted ones, which no member
/// ever gets. Where the group's client has fetched nothing, this probe therefore reads whether there is a record at all.
///
/// The ends come from one request to each leader, with a client of its own. The group's client knows the ends that its last
/// fetches returned, but it does not fetch while a paused partition's queue is full, so that lag would stand still.
pub(crate) struct GroupLag {
    config: ClientConfig,
    commands: Commands,
    queries: Arc<Mutex<LagQueries>>,
    /// The next offsets of partitions with unfetched records, and since when they are known.
    unfetched: Mutex<Unfetched>,
}

impl GroupLag {
    pub(crate) fn new(config: ClientConfig, commands: Commands) -> Self {
        Self { config, commands, queries: Arc::default(), unfetched: Mutex::default() }
    }

    /// Asks the thread of the member; returns none after its end.
    async fn standings(&self) -> Vec<Standing> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Standings(answer));
        answered.await.unwrap_or_default()
    }

    async fn ends(&self, standings: Vec<Standing>) -> Result<Ends, Error> {
        let (config, queries) = (self.config.clone(), Arc::clone(&self.queries));
        let (answer, answered) = oneshot::channel();
        let ask = move || {
            // A query that outlived its caller may still run; the next one does not wait for it.
            let ends = queries.try_lock().ok().map(|mut queries| ask(&config, &mut queries, &standings));
            drop(answer.send(ends));
        };
        let not_asked =
            || Error::new(ErrorKind::Unavailable, "the query for the ends of partitions did not run");
        thread::Builder::new()
            .name("messagekit-kafka-lag".to_owned())
            .spawn(ask)
            .map_err(|error| not_asked().caused_by(error))?;
        let ends = answered.await.ok().flatten().ok_or_else(not_asked)?;
        ends.map_err(|error| unavailable("no broker said where partitions end", error))
    }

    fn compare(&self, ends: &Ends, standings: Vec<Standing>) -> Vec<PartitionLag> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut unfetched = self.unfetched.lock().unwrap_or_else(PoisonError::into_inner);
        let known = std::mem::take(&mut *unfetched);
        let compared = standings.into_iter().filter_map(|Standing { topic, partition, next, written }| {
            // Assigned after the query: its lag is in the next answer.
            let end = ends.get(&(Arc::clone(&topic), partition))?;
            let first = end.first.filter(|known| known.next == next && written.is_none());
            let (messages, written) = match first.map(|known| known.first) {
                Some(First::End) => (0, None),
                Some(First::Record(read)) => (u64::try_from(end.offset - next).unwrap_or(0), read),
                None => (u64::try_from(end.offset - next).unwrap_or(0), written),
            };
            let oldest = match written.and_then(|written| u64::try_from(written).ok()) {
                _ if messages == 0 => Duration::ZERO,
                // Zero for a record of a clock that is ahead of this one.
                Some(written) => now.saturating_sub(Duration::from_millis(written)),
                None => {
                    let key = (Arc::clone(&topic), partition);
                    let seen = known.get(&key).filter(|(offset, _)| *offset == next);
                    let since = seen.map_or_else(Instant::now, |(_, since)| *since);
                    unfetched.insert(key, (next, since));
                    since.elapsed()
                }
            };
            Some(PartitionLag { topic, partition: Some(partition), messages, oldest })
        });
        compared.collect()
    }
}

impl LagProbe for GroupLag {
    fn lag(&self) -> BoxFuture<'_, Result<Vec<PartitionLag>, Error>> {
        Box::pin(async {
            let owned = self.standings().await;
            if owned.is_empty() {
                return Ok(Vec::new());
            }
            let ends = self.ends(owned).await?;
            // Asked again: partitions may have moved to another member meanwhile, and messages were settled.
            Ok(self.compare(&ends, self.standings().await))
        })
    }
}

fn ask(config: &ClientConfig, queries: &mut LagQueries, standings: &[Standing]) -> KafkaResult<Ends> {
    let client = match queries.client.take() {
        Some(client) => client,
        None => Arc::new(config.create()?),
    };
    let mut ends = ends(&client, standings)?;
    // Without it an age counts from now, and markers count.
    if let Err(error) = read_first(&client, queries, standings, &mut ends) {
        tracing::debug!(%error, "first records of partitions are not known");
    }
    // No other thread takes its events.
    while client.poll(Duration::ZERO).is_some() {}
    queries.client = Some(client);
    Ok(ends)
}

fn ends(client: &BaseConsumer, standings: &[Standing]) -> KafkaResult<Ends> {
    let asked = standings.iter().map(|standing| (&*standing.topic, standing.partition));
    let found = offsets(client, asked, Offset::End, DEADLINE)?;
    if found.len() < standings.len() {
        return Err(KafkaError::OffsetFetch(rdkafka::types::RDKafkaErrorCode::NoOffset));
    }
    Ok(found.into_iter().map(|(partition, offset)| (partition, End { offset, first: None })).collect())
}

/// Reads what is first in the partitions of which the group's client has fetched nothing, unless that is known, beginning
/// with the shortest rests: markers alone are few.
fn read_first(
    client: &Arc<BaseConsumer>,
    queries: &mut LagQueries,
    standings: &[Standing],
    ends: &mut Ends,
) -> KafkaResult<()> {
    let mut known = BTreeMap::new();
    let mut unknown: Vec<(i64, (TopicPartition, i64))> = Vec::new();
    for Standing { topic, partition, next, .. } in standings.iter().filter(|one| one.written.is_none()) {
        let partition = (Arc::clone(topic), *partition);
        let Some(end) = ends.get(&partition).map(|end| end.offset).filter(|end| end > next) else { continue };
        match queries.first.get(&partition).filter(|known| known.holds(*next, end)) {
            Some(first) => drop(known.insert(partition, KnownFirst { end, ..*first })),
            None => unknown.push((end - next, (partition, *next))),
        }
    }
    unknown.sort_by_key(|(rest, _)| *rest);
    let offsets: Vec<(TopicPartition, i64)> =
        unknown.into_iter().map(|(_, offset)| offset).take(READ).collect();
    // What is kept is what is asked for now.
    queries.first = known;
    if !offsets.is_empty() {
        let mut found = first_records(client, &offsets, FIRST)?;
        for (partition, next) in offsets {
            if let (Some(first), Some(end)) = (found.remove(&partition), ends.get(&partition)) {
                queries.first.insert(partition, KnownFirst { next, end: end.offset, first });
            }
        }
    }
    for (partition, first) in &queries.first {
        if let Some(end) = ends.get_mut(partition) {
            end.first = Some(*first);
        }
    }
    Ok(())
}
