//! Polls the table of effects, to see when each partition continues and through which member.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;

use super::members::MEMBERS;
use crate::frame::Outcome;
use crate::resources::PARTITIONS;

const LOOK: Duration = Duration::from_millis(20);
/// A partition without an effect for this time is stalled.
const STILL: Duration = Duration::from_secs(1);
/// No partition stalls for this time before and after the disturbance.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(20);
/// Longer than the longest observed stall.
const PATIENCE: Duration = Duration::from_secs(400);

/// The newest effect of each partition. The number of an event identifies its partition.
const NEWEST: &str = "
SELECT part::int, newest.number, newest.member FROM generate_series(0::bigint, 5) part,
    LATERAL (SELECT number, member FROM effects WHERE number % 6 = part ORDER BY number DESC LIMIT 1) newest";

#[derive(Clone)]
struct Partition {
    newest: i64,
    since: Instant,
    longest: Duration,
    owner: Option<String>,
}

/// A poll of the table of effects. A drop ends it.
pub(super) struct Watch {
    partitions: Arc<Mutex<Vec<Partition>>>,
    task: JoinHandle<Outcome<()>>,
    connection: String,
}

impl Watch {
    pub(super) async fn start(url: &str) -> Outcome<Self> {
        let fresh = Partition { newest: -1, since: Instant::now(), longest: Duration::ZERO, owner: None };
        let partitions = Arc::new(Mutex::new(vec![fresh; PARTITIONS as usize]));
        let task = tokio::spawn(look(PgConnection::connect(url).await?, Arc::clone(&partitions)));
        Ok(Self { partitions, task, connection: url.to_owned() })
    }

    /// Resets the stall times.
    pub(super) fn begin(&self) {
        self.with(|partitions| {
            partitions.iter_mut().for_each(|partition| partition.longest = Duration::ZERO);
        });
    }

    /// Returns the member that applied the newest event of each partition.
    pub(super) fn owners(&self) -> Vec<Option<String>> {
        self.with(|partitions| partitions.iter().map(|partition| partition.owner.clone()).collect())
    }

    /// Returns the longest stall of each partition in seconds.
    pub(super) fn waits(&self) -> Vec<f64> {
        let wait = |partition: &Partition| partition.longest.max(partition.since.elapsed()).as_secs_f64();
        self.with(|partitions| partitions.iter().map(wait).collect())
    }

    /// Waits until every member has partitions and no partition is stalled.
    pub(super) async fn until_shared(&self) -> Outcome<()> {
        self.until(BEFORE, "every member has partitions", |partitions| {
            let owners: BTreeSet<_> =
                partitions.iter().filter_map(|partition| partition.owner.as_ref()).collect();
            owners.len() == MEMBERS
        })
        .await
    }

    /// Waits until no partition has stalled for a while.
    pub(super) async fn until_calm(&self) -> Outcome<()> {
        self.until(AFTER, "every partition goes on", |_| true).await
    }

    /// Waits until `events` events are applied. Events that are missing after a minute are lost.
    pub(super) async fn until_applied(&self, events: usize) -> Outcome<()> {
        let mut connection = PgConnection::connect(&self.connection).await?;
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let count: i64 =
                sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(&mut connection).await?;
            if count >= i64::try_from(events)? {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn until(
        &self,
        how_long: Duration,
        what: &str,
        is_so: impl Fn(&[Partition]) -> bool,
    ) -> Outcome<()> {
        let (began, mut since) = (Instant::now(), Instant::now());
        while since.elapsed() < how_long {
            if self.task.is_finished() || began.elapsed() > PATIENCE {
                return Err(
                    format!("never within {PATIENCE:?}: {what}; still for {:.1?} s", self.waits()).into()
                );
            }
            let goes_on = |partitions: &mut Vec<Partition>| {
                partitions.iter().all(|partition| partition.since.elapsed() < STILL) && is_so(partitions)
            };
            if !self.with(goes_on) {
                since = Instant::now();
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn with<R>(&self, look: impl FnOnce(&mut Vec<Partition>) -> R) -> R {
        look(&mut self.partitions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(mut connection: PgConnection, partitions: Arc<Mutex<Vec<Partition>>>) -> Outcome<()> {
    loop {
        let rows: Vec<(i32, i64, String)> = sqlx::query_as(NEWEST).fetch_all(&mut connection).await?;
        let now = Instant::now();
        for (partition, number, member) in rows {
            let mut partitions = partitions.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(known) = partitions.get_mut(usize::try_from(partition)?) else { continue };
            if number > known.newest {
                known.longest = known.longest.max(now - known.since);
                (known.newest, known.since, known.owner) = (number, now, Some(member));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
