//! The lag of a member of a group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use messagekit::adapter::{BoxFuture, LagProbe, PartitionLag};
use messagekit::{Error, ErrorKind};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::oneshot;

use crate::error::unavailable;
use crate::link::{Command, Commands};
use crate::member::Standing;

/// The time limit of an answer.
const DEADLINE: Duration = Duration::from_secs(5);

type Ends = BTreeMap<(Arc<str>, i32), i64>;
type Unfetched = BTreeMap<(Arc<str>, i32), (i64, Instant)>;

/// Compares the end of each owned partition with the oldest unsettled record. The age counts from the record's timestamp; until
/// the record is fetched, from when this probe first saw it.
///
/// The ends come from one request to each leader, with a client of its own. The group's client knows the ends that its last
/// fetches returned, but it does not fetch while a paused partition's queue is full, so that lag would stand still.
pub(crate) struct GroupLag {
    config: ClientConfig,
    commands: Commands,
    /// Made with the first query, and anew after a failed one.
    client: Arc<Mutex<Option<BaseConsumer>>>,
    /// The next offsets of partitions with unfetched records, and since when they are known.
    unfetched: Mutex<Unfetched>,
}

impl GroupLag {
    pub(crate) fn new(config: ClientConfig, commands: Commands) -> Self {
        Self { config, commands, client: Arc::default(), unfetched: Mutex::default() }
    }

    /// Asks the thread of the member; returns none after its end.
    async fn standings(&self) -> Vec<Standing> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Standings(answer));
        answered.await.unwrap_or_default()
    }

    async fn ends(&self, standings: Vec<Standing>) -> Result<Ends, Error> {
        let (config, client) = (self.config.clone(), Arc::clone(&self.client));
        let (answer, answered) = oneshot::channel();
        let ask = move || {
            // A query that outlived its caller may still run; the next one does not wait for it.
            let ends = client.try_lock().ok().map(|mut client| ask(&config, &mut client, &standings));
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
            let messages = u64::try_from(end - next).unwrap_or(0);
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

fn ask(
    config: &ClientConfig,
    client: &mut Option<BaseConsumer>,
    standings: &[Standing],
) -> KafkaResult<Ends> {
    let asked = match client.take() {
        Some(client) => client,
        None => config.create()?,
    };
    let found = ends(&asked, standings)?;
    // No other thread takes its events.
    while asked.poll(Duration::ZERO).is_some() {}
    *client = Some(asked);
    Ok(found)
}

fn ends(client: &BaseConsumer, standings: &[Standing]) -> KafkaResult<Ends> {
    let mut asked = TopicPartitionList::with_capacity(standings.len());
    for standing in standings {
        asked.add_partition_offset(&standing.topic, standing.partition, Offset::End)?;
    }
    let answer = client.offsets_for_times(asked, DEADLINE)?;
    let found = answer.elements().into_iter().map(|one| match (one.error(), one.offset()) {
        (Err(error), _) => Err(error),
        (Ok(()), Offset::Offset(offset)) => Ok(((one.topic().into(), one.partition()), offset)),
        (Ok(()), _) => Err(KafkaError::OffsetFetch(rdkafka::types::RDKafkaErrorCode::NoOffset)),
    });
    found.collect()
}
